"""Reads PullFilter."""

from functools import partial
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from clients.oci.version import VersionRange
from controlplane.analytics.choice import ANY_ENDING, Choice
from controlplane.analytics.times import milliseconds
from controlplane.api.timestamps import moment
from controlplane.api.validation import Violations
from controlplane.model.identifiers import InvalidName
from controlplane.model.naming import ArtifactName, UserName
from controlplane.model.pull_tables import NameKind
from penstock.v1 import pull_pb2 as pb

_LONGEST: Final = 300
_PLAIN: Final = {
    "tag": NameKind.TAG,
    "digest": NameKind.DIGEST,
    "token_uid": NameKind.TOKEN,
    "client": NameKind.CLIENT,
}


def read_choice(given: pb.PullFilter, organization: str, violations: Violations) -> Choice:
    """Read a filter of an organization's pulls, which may name what is gone."""
    names: dict[NameKind, str] = {}
    if given.artifact:
        artifact = violations.check("filter.artifact", ArtifactName.parse, given.artifact)
        _check_owner(
            artifact.organization if artifact else organization, organization, "artifact", violations
        )
        names[NameKind.ARTIFACT] = artifact.path if artifact else ""
    if given.user:
        user = violations.check("filter.user", UserName.parse, given.user)
        if user:
            _check_owner(user.organization, organization, "user", violations)
            names[NameKind.USER] = user.user
    if given.customer:
        customer = violations.check("filter.customer", partial(_customer, organization), given.customer)
        names[NameKind.CUSTOMER] = customer
    if given.address:
        names[NameKind.ADDRESS] = violations.check_address("filter.address", given.address)
    for field, kind in _PLAIN.items():
        if text := getattr(given, field):
            if len(text) > _LONGEST or not text.isprintable():
                violations.add(f"filter.{field}", f"must be one line of at most {_LONGEST} characters.")
            names[kind] = text
    if given.client == ANY_ENDING:
        del names[NameKind.CLIENT]
    versions = None
    if given.version_range:
        versions = violations.check("filter.version_range", VersionRange.parse, given.version_range)
    start = end = None
    if given.HasField("start_time"):
        start = violations.check("filter.start_time", _time, given.start_time)
    if given.HasField("end_time"):
        end = violations.check("filter.end_time", _time, given.end_time)
    if start is not None and end is not None and start >= end:
        violations.add("filter.end_time", "must be after start_time.")
    return Choice(
        start=start,
        end=end,
        names=names,
        versions=versions,
        kind=given.kind or None,
        cold={pb.WARM: False, pb.COLD: True}.get(given.temperature),
    )


def _time(given: Timestamp) -> int:
    return milliseconds(moment(given))


def _customer(organization: str, text: str) -> str:
    prefix = f"organizations/{organization}/customers/"
    customer = text.removeprefix(prefix)
    if customer == text or not customer or "/" in customer or len(text) > _LONGEST:
        raise InvalidName(f"is no customer of this organization: give one like {prefix}globex.")
    return customer


def _check_owner(found: str, wanted: str, field: str, violations: Violations) -> None:
    if found != wanted:
        violations.add(f"filter.{field}", f"must be of organizations/{wanted}, whose pulls are asked for.")
