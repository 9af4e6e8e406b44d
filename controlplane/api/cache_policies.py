"""Cache policies of artifacts: from requests to rows and back."""

from collections.abc import Collection
from typing import Final

from clients.oci.pattern import TagPattern
from clients.oci.platform import check_platform
from controlplane.api.validation import Violations
from controlplane.model.artifact_tables import Artifact
from penstock.v1 import artifact_pb2 as pb

POLICY: Final = "cache_policy"
_LISTS: Final = {
    "pin_tags": (TagPattern.parse, 100),
    "prefetch_tags": (TagPattern.parse, 100),
    "prefetch_platforms": (check_platform, 50),
}


def check(given: pb.Artifact, fields: Collection[str], violations: Violations) -> None:
    """Add what is wrong with the policy of a request, as far as its mask names it."""
    for name in _named(fields):
        parse, most = _LISTS[name]
        texts = list(getattr(given.cache_policy, name))
        if len(texts) > most:
            violations.add(f"artifact.{POLICY}.{name}", f"must have at most {most} entries.")
        for index, text in enumerate(texts[:most]):
            violations.check(f"artifact.{POLICY}.{name}[{index}]", parse, text)


def change(row: Artifact, given: pb.Artifact, fields: Collection[str]) -> bool:
    """Give the row the policy of a request that was checked; tells whether anything changed."""
    before = row.cache_policy
    wanted = dict(before)
    for name in _named(fields):
        wanted[name] = list(getattr(given.cache_policy, name))
    row.cache_policy = {name: texts for name, texts in wanted.items() if texts}
    return before != row.cache_policy


def message(row: Artifact) -> pb.CachePolicy:
    """Render the policy of an artifact."""
    return pb.CachePolicy(**{name: texts for name, texts in row.cache_policy.items() if name in _LISTS})


def _named(fields: Collection[str]) -> list[str]:
    """Give the parts of the policy that are named, in their order."""
    return [name for name in _LISTS if POLICY in fields or f"{POLICY}.{name}" in fields]
