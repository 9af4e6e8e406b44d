"""Messages of the control plane to a valid configuration: all of it, or a reason and nothing."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from clients.oci.reference import InvalidReference, check_repository
from dataplane.access.principal import Principal
from dataplane.config.configuration import ArtifactEntry, Configuration
from penstock.v1 import config_pb2
from penstock.v1.user_pb2 import Role

# Uids become names of directories.
_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_HASH_LENGTH = 32


class InvalidConfiguration(ValueError):
    """A configuration that contradicts itself; `str()` is one sentence that says where."""


def from_message(message: config_pb2.Configuration) -> Configuration:
    """Make a configuration of a whole message; raises InvalidConfiguration."""
    draft = _Draft()
    draft.put(message.organizations, message.artifacts, message.tokens)
    return draft.finish(message.revision)


def apply(old: Configuration, change: config_pb2.ConfigurationChange) -> Configuration:
    """Make the configuration that the change turns `old` into; raises InvalidConfiguration.

    Costs time for what changes, and a copy of five dictionaries.
    """
    if change.from_revision != old.revision or change.to_revision < old.revision:
        raise InvalidConfiguration(
            f"The change leads from revision {change.from_revision} to {change.to_revision}, "
            f"and this node runs {old.revision}."
        )
    draft = _Draft(
        dict(old.organizations),
        dict(old.artifacts),
        dict(old.repositories),
        dict(old.tokens),
        dict(old.principals),
    )
    # What is replaced goes first, so that two artifacts may exchange their names.
    draft.drop_organizations((*change.removed_organization_uids, *_uids(change.organizations)))
    draft.drop_artifacts((*change.removed_artifact_uids, *_uids(change.artifacts)))
    draft.drop_tokens((*change.removed_token_uids, *_uids(change.tokens)))
    draft.put(change.organizations, change.artifacts, change.tokens)
    if change.organizations or change.removed_organization_uids:
        draft.check_organizations()
    return draft.finish(change.to_revision)


def _uids(
    entries: Iterable[config_pb2.OrganizationConfig | config_pb2.ArtifactConfig | config_pb2.TokenConfig],
) -> tuple[str, ...]:
    return tuple(entry.uid for entry in entries)


@dataclass(slots=True)
class _Draft:
    """The dictionaries of a Configuration while they are filled."""

    organizations: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, ArtifactEntry] = field(default_factory=dict)
    repositories: dict[str, ArtifactEntry] = field(default_factory=dict)
    tokens: dict[str, bytes] = field(default_factory=dict)
    principals: dict[bytes, Principal] = field(default_factory=dict)

    def drop_organizations(self, uids: Iterable[str]) -> None:
        for uid in uids:
            self.organizations.pop(uid, None)

    def drop_artifacts(self, uids: Iterable[str]) -> None:
        for uid in uids:
            artifact = self.artifacts.pop(uid, None)
            if artifact is not None:
                del self.repositories[artifact.repository]

    def drop_tokens(self, uids: Iterable[str]) -> None:
        for uid in uids:
            sha256 = self.tokens.pop(uid, None)
            if sha256 is not None:
                del self.principals[sha256]

    def put(
        self,
        organizations: Iterable[config_pb2.OrganizationConfig],
        artifacts: Iterable[config_pb2.ArtifactConfig],
        tokens: Iterable[config_pb2.TokenConfig],
    ) -> None:
        """Add entries; an artifact or token needs its organization to be there."""
        for organization in organizations:
            self._put_organization(organization)
        for artifact in artifacts:
            self._put_artifact(artifact)
        for token in tokens:
            self._put_token(token)

    def check_organizations(self) -> None:
        """Check what hangs on organizations that changed or went."""
        for artifact in self.artifacts.values():
            self._check_artifact(artifact)
        for principal in self.principals.values():
            self._check_owner(principal)

    def finish(self, revision: int) -> Configuration:
        if revision < 1:
            raise InvalidConfiguration(f"The revision {revision} is not a positive number.")
        return Configuration(
            revision, self.organizations, self.artifacts, self.repositories, self.tokens, self.principals
        )

    def _put_organization(self, entry: config_pb2.OrganizationConfig) -> None:
        _check_uid("organization", entry.uid)
        if "/" in entry.organization_id or not entry.organization_id:
            raise InvalidConfiguration(f"The organization {entry.uid} has no valid id.")
        if entry.uid in self.organizations:
            raise InvalidConfiguration(f"The organization {entry.uid} is there twice.")
        self.organizations[entry.uid] = entry.organization_id

    def _put_artifact(self, entry: config_pb2.ArtifactConfig) -> None:
        _check_uid("artifact", entry.uid)
        artifact = ArtifactEntry(entry.uid, entry.organization_uid, entry.repository, entry.content_revision)
        try:
            check_repository(artifact.repository)
        except InvalidReference as error:
            raise InvalidConfiguration(f"The artifact {entry.uid} has a malformed name: {error}") from error
        self._check_artifact(artifact)
        if artifact.uid in self.artifacts or artifact.repository in self.repositories:
            raise InvalidConfiguration(f"The artifact {entry.uid} ({entry.repository}) is there twice.")
        self.artifacts[artifact.uid] = artifact
        self.repositories[artifact.repository] = artifact

    def _check_artifact(self, artifact: ArtifactEntry) -> None:
        organization_id = self.organizations.get(artifact.organization_uid)
        if organization_id is None:
            raise InvalidConfiguration(
                f"The artifact {artifact.uid} belongs to the organization "
                f"{artifact.organization_uid!r}, which is not there."
            )
        if not artifact.repository.startswith(f"{organization_id}/"):
            raise InvalidConfiguration(
                f"The artifact {artifact.uid} is named {artifact.repository}, outside its organization "
                f"{organization_id}."
            )

    def _put_token(self, entry: config_pb2.TokenConfig) -> None:
        _check_uid("token", entry.uid)
        if len(entry.sha256) != _HASH_LENGTH:
            raise InvalidConfiguration(f"The token {entry.uid} has a hash that is not SHA-256.")
        if entry.role == Role.ROLE_UNSPECIFIED or entry.role not in Role.values():
            raise InvalidConfiguration(f"The token {entry.uid} has the unknown role {entry.role}.")
        expires_at = None
        if entry.HasField("expire_time"):
            expires_at = entry.expire_time.seconds + entry.expire_time.nanos / 1e9
        principal = Principal(entry.uid, entry.user_uid, entry.organization_uid, int(entry.role), expires_at)
        self._check_owner(principal)
        if entry.uid in self.tokens or entry.sha256 in self.principals:
            raise InvalidConfiguration(f"The token {entry.uid} is there twice.")
        self.tokens[entry.uid] = entry.sha256
        self.principals[entry.sha256] = principal

    def _check_owner(self, principal: Principal) -> None:
        if principal.organization_uid and principal.organization_uid not in self.organizations:
            raise InvalidConfiguration(
                f"The token {principal.token_uid} belongs to the organization "
                f"{principal.organization_uid!r}, which is not there."
            )


def _check_uid(kind: str, uid: str) -> None:
    if not _UID.fullmatch(uid):
        raise InvalidConfiguration(f"The uid {uid[:80]!r} ({kind}) is malformed.")
