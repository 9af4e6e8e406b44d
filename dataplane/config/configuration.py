"""The configuration that a node runs: a frozen value, valid from birth."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp

from dataplane.access.principal import Principal
from penstock.v1 import config_pb2
from penstock.v1.user_pb2 import Role


@dataclass(frozen=True, slots=True)
class ArtifactEntry:
    """One artifact, as far as serving it goes."""

    uid: str
    organization_uid: str
    repository: str
    """The whole name that clients use: `acme/team/app`."""
    content_revision: int
    """What was resolved under an older one is stale."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Who may pull what, at one revision; made by `dataplane.config.draft`, which validates all of it."""

    revision: int
    organizations: Mapping[str, str] = field(repr=False)
    """Their ids (first components of repository names), by uid."""
    artifacts: Mapping[str, ArtifactEntry] = field(repr=False)
    """By uid."""
    repositories: Mapping[str, ArtifactEntry] = field(repr=False)
    """The same by repository name."""
    tokens: Mapping[str, bytes] = field(repr=False)
    """SHA-256 of tokens, by their uid."""
    principals: Mapping[bytes, Principal] = field(repr=False)
    """Owners of tokens, by the SHA-256 of the token."""

    def message(self) -> config_pb2.Configuration:
        """Give the message that `draft.from_message` takes."""
        return config_pb2.Configuration(
            revision=self.revision,
            organizations=[
                config_pb2.OrganizationConfig(uid=uid, organization_id=organization_id)
                for uid, organization_id in self.organizations.items()
            ],
            artifacts=[
                config_pb2.ArtifactConfig(
                    uid=artifact.uid,
                    organization_uid=artifact.organization_uid,
                    repository=artifact.repository,
                    content_revision=artifact.content_revision,
                )
                for artifact in self.artifacts.values()
            ],
            tokens=[_token(sha256, principal) for sha256, principal in self.principals.items()],
        )


def _token(sha256: bytes, principal: Principal) -> config_pb2.TokenConfig:
    expire_time = None
    if principal.expires_at is not None:
        expire_time = Timestamp()
        expire_time.FromMicroseconds(round(principal.expires_at * 1e6))
    return config_pb2.TokenConfig(
        uid=principal.token_uid,
        sha256=sha256,
        organization_uid=principal.organization_uid,
        user_uid=principal.user_uid,
        role=Role.ValueType(principal.role),
        expire_time=expire_time,
    )
