"""What turns one configuration into a later one; pure."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from penstock.v1 import config_pb2


class _Entry(Protocol):
    @property
    def uid(self) -> str: ...


_EntryT = TypeVar("_EntryT", bound=_Entry)


def difference(
    old: config_pb2.Configuration, new: config_pb2.Configuration
) -> config_pb2.ConfigurationChange:
    """Give the change that makes `new` of `old`: entries added or altered, and uids that are gone.

    It may be empty but for the revisions: a revision counts changes of rows, and not each is seen by nodes.
    """
    organizations, removed_organizations = _compare(old.organizations, new.organizations)
    artifacts, removed_artifacts = _compare(old.artifacts, new.artifacts)
    tokens, removed_tokens = _compare(old.tokens, new.tokens)
    return config_pb2.ConfigurationChange(
        from_revision=old.revision,
        to_revision=new.revision,
        organizations=organizations,
        artifacts=artifacts,
        tokens=tokens,
        removed_organization_uids=removed_organizations,
        removed_artifact_uids=removed_artifacts,
        removed_token_uids=removed_tokens,
    )


def _compare(old: Iterable[_EntryT], new: Iterable[_EntryT]) -> tuple[list[_EntryT], list[str]]:
    before = {entry.uid: entry for entry in old}
    altered = []
    for entry in new:
        if before.pop(entry.uid, None) != entry:
            altered.append(entry)
    return altered, list(before)
