"""Sync policies and labels of artifacts: from requests to rows and back, with all that is wrong at once."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration

from clients.oci.pattern import TagPattern
from clients.oci.platform import check_platform
from clients.oci.version import VersionRange
from controlplane.api.validation import Violations
from controlplane.catalog.policy import SyncPolicy
from controlplane.model.artifact_tables import Artifact
from controlplane.sync.cron import parse_ticks
from penstock.v1 import artifact_pb2 as pb

POLICY: Final = "sync_policy"
LABELS: Final = "labels"
FIELDS: Final = frozenset({POLICY, LABELS})
"""Of an artifact, that are read and written here."""

_PATTERNS: Final = 100
_PLATFORMS: Final = 50
_LABELS: Final = 64
_NEWEST: Final = 1_000_000
_AGES: Final = (timedelta(seconds=1), timedelta(days=366))
_LABEL_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL_PREFIX: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


def check(given: pb.Artifact, fields: Collection[str], violations: Violations) -> None:
    """Add what is wrong with the policy and labels of a request, as far as its mask names them.

    `fields` are names of fields, and paths like `sync_policy.paused`.
    """
    if LABELS in fields:
        _check_labels(given.labels, violations)
    if _named(fields):
        _check(given.sync_policy, violations)


def change(row: Artifact, given: pb.Artifact, fields: Collection[str]) -> bool:
    """Give the row the policy and labels of a request that was checked; tells whether anything changed.

    Raises ApiError INVALID_ARGUMENT where the parts of the policy contradict each other.
    """
    before = (row.sync_schedule, row.sync_paused, row.sync_policy, row.labels)
    if LABELS in fields:
        row.labels = dict(given.labels)
    if names := _named(fields):
        wanted = given.sync_policy if "" in names else _merged(message(row), given.sync_policy, names)
        with Violations() as violations:
            _check_together(wanted, violations)
        row.sync_schedule, row.sync_paused = wanted.schedule.strip(), wanted.paused
        row.sync_policy = _policy(wanted).kept()
    return before != (row.sync_schedule, row.sync_paused, row.sync_policy, row.labels)


def _named(fields: Collection[str]) -> set[str]:
    """Give the parts of the policy that are named; "" for all of it."""
    return {rest for name, _, rest in (path.partition(".") for path in fields) if name == POLICY}


def _merged(base: pb.SyncPolicy, given: pb.SyncPolicy, names: Collection[str]) -> pb.SyncPolicy:
    for name in names:
        base.ClearField(name)  # type: ignore[arg-type]  # the mask was checked against the message
    for field, value in given.ListFields():
        if field.name not in names:
            continue
        if field.is_repeated:
            getattr(base, field.name).extend(value)
        elif field.message_type is not None:
            getattr(base, field.name).CopyFrom(value)
        else:
            setattr(base, field.name, value)
    return base


def message(row: Artifact) -> pb.SyncPolicy:
    """Render the policy of an artifact, as it is followed."""
    policy = SyncPolicy.of(row.sync_policy)
    rendered = pb.SyncPolicy(
        schedule=row.sync_schedule,
        paused=row.sync_paused,
        include_tags=policy.include_tags,
        exclude_tags=policy.exclude_tags,
        version_range=policy.version_range,
        newest=policy.newest,
        platforms=policy.platforms,
        deleted_tags=pb.SyncPolicy.KEEP if policy.keep_deleted_tags else pb.SyncPolicy.PRUNE,
        sync_only=policy.sync_only,
        revalidate_before_answer=policy.revalidate_before_answer,
    )
    if policy.max_tag_age is not None:
        rendered.max_tag_age.FromTimedelta(policy.max_tag_age)
    return rendered


def _policy(given: pb.SyncPolicy) -> SyncPolicy:
    return SyncPolicy(
        include_tags=tuple(given.include_tags),
        exclude_tags=tuple(given.exclude_tags),
        version_range=given.version_range.strip(),
        newest=given.newest,
        platforms=tuple(given.platforms),
        keep_deleted_tags=given.deleted_tags == pb.SyncPolicy.KEEP,
        sync_only=given.sync_only,
        max_tag_age=_age(given.max_tag_age) if given.HasField("max_tag_age") else None,
        revalidate_before_answer=given.revalidate_before_answer,
    )


def _check(given: pb.SyncPolicy, violations: Violations) -> None:
    if given.schedule.strip():
        violations.check(_field("schedule"), lambda text: parse_ticks(text, UTC), given.schedule.strip())
    _check_each("include_tags", given.include_tags, TagPattern.parse, _PATTERNS, violations)
    _check_each("exclude_tags", given.exclude_tags, TagPattern.parse, _PATTERNS, violations)
    _check_each("platforms", given.platforms, check_platform, _PLATFORMS, violations)
    if given.version_range.strip():
        violations.check(_field("version_range"), VersionRange.parse, given.version_range)
    if not 0 <= given.newest <= _NEWEST:
        violations.add(_field("newest"), f"must be from 0, which is all, to {_NEWEST}.")
    if given.deleted_tags not in pb.SyncPolicy.DeletedTags.values():
        violations.add(_field("deleted_tags"), "must be PRUNE or KEEP.")
    if given.HasField("max_tag_age"):
        age = _age(given.max_tag_age)
        if not _AGES[0] <= age <= _AGES[1]:
            violations.add(_field("max_tag_age"), "must be from one second to 366 days.")


def _check_together(given: pb.SyncPolicy, violations: Violations) -> None:
    if given.HasField("max_tag_age") and given.sync_only:
        violations.add(_field("max_tag_age"), "goes against sync_only: then nothing is asked at pulls.")
    if given.revalidate_before_answer and not given.HasField("max_tag_age"):
        violations.add(_field("revalidate_before_answer"), "needs max_tag_age: give one, like 300s.")


def _check_each(
    name: str, values: Iterable[str], parse: Callable[[str], object], most: int, violations: Violations
) -> None:
    texts = list(values)
    if len(texts) > most:
        violations.add(_field(name), f"must have at most {most} entries.")
    for index, text in enumerate(texts[:most]):
        violations.check(f"{_field(name)}[{index}]", parse, text)


def _check_labels(labels: Mapping[str, str], violations: Violations) -> None:
    pairs = dict(labels)
    if len(pairs) > _LABELS:
        violations.add("artifact.labels", f"must be at most {_LABELS}.")
    for key, value in list(pairs.items())[:_LABELS]:
        prefix, slash, name = key.rpartition("/")
        if not _LABEL_NAME.fullmatch(name) or (slash and not _LABEL_PREFIX.fullmatch(prefix)):
            violations.add(
                "artifact.labels",
                f"{key[:80]!r} is no key: write team or example.com/team, as in Kubernetes.",
            )
        if value and not _LABEL_NAME.fullmatch(value):
            violations.add(
                "artifact.labels",
                f"{value[:80]!r} is no value: give up to 63 letters, digits, - _ . with a letter or digit"
                " at both ends.",
            )


def _age(duration: Duration) -> timedelta:
    # Its own conversion raises for numbers out of range, and these are to be a violation like others.
    return timedelta(seconds=max(-1, min(duration.seconds, 10**9)), microseconds=duration.nanos // 1000)


def _field(name: str) -> str:
    return f"artifact.{POLICY}.{name}"
