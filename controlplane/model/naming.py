"""Resource names (AIP-122): what the API calls the rows of the tables.

The parts of them, and what an id may be, are in `controlplane.model.identifiers`: `acme/team/app` is
`organizations/acme/artifacts/team~app`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from controlplane.model.identifiers import (
    InvalidName,
    check_artifact_id,
    check_credential_id,
    check_customer_id,
    check_entitlement_id,
    check_node_id,
    check_repository_name,
    check_slug,
    check_tag_id,
    check_user,
    shown,
    uid_of,
)

_UID_EXAMPLE: Final = "01234567-89ab-4cde-8f01-23456789abcd"


@dataclass(frozen=True, slots=True)
class OrganizationName:
    """`organizations/acme`."""

    organization: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a resource name; raises InvalidName."""
        return cls(*_ids(text, "organizations/acme", check_slug))

    def __str__(self) -> str:
        return f"organizations/{self.organization}"


@dataclass(frozen=True, slots=True)
class ArtifactName:
    """`organizations/acme/artifacts/team~app`, with the path as repositories have it: `team/app`."""

    organization: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a resource name; raises InvalidName."""
        return cls.of(*_ids(text, "organizations/acme/artifacts/redis", check_slug, str))

    @classmethod
    def of(cls, organization: str, artifact: str) -> Self:
        """Name the artifact of an organization by its id, components separated by `/` or `~`.

        Raises InvalidName where clients could not pull by that name.
        """
        path = check_artifact_id(artifact)
        check_repository_name(f"{organization}/{path}")
        return cls(organization, path)

    @property
    def repository(self) -> str:
        """What clients pull: `acme/team/app`."""
        return f"{self.organization}/{self.path}"

    def __str__(self) -> str:
        return f"organizations/{self.organization}/artifacts/{self.path.replace('/', '~')}"


@dataclass(frozen=True, slots=True)
class ArtifactUid:
    """`artifacts/{uid}`, which some methods take in the place of the name."""

    uid: str

    def __str__(self) -> str:
        return f"artifacts/{self.uid}"


def parse_artifact(text: str) -> ArtifactName | ArtifactUid:
    """Parse an artifact's name in either form; raises InvalidName."""
    if text.startswith("artifacts/"):
        return ArtifactUid(*_ids(text, f"artifacts/{_UID_EXAMPLE}", uid_of("artifact")))
    return ArtifactName.parse(text)


@dataclass(frozen=True, slots=True)
class TagName:
    """`organizations/acme/artifacts/redis/tags/7.2`."""

    artifact: ArtifactName
    tag: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a resource name; raises InvalidName."""
        organization, artifact, tag = _ids(
            text, "organizations/acme/artifacts/redis/tags/7.2", check_slug, str, check_tag_id
        )
        return cls(ArtifactName.of(organization, artifact), tag)

    def __str__(self) -> str:
        return f"{self.artifact}/tags/{self.tag}"


@dataclass(frozen=True, slots=True)
class SyncJobName:
    """`organizations/acme/artifacts/redis/syncJobs/{uid}`."""

    artifact: ArtifactName
    uid: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a resource name; raises InvalidName."""
        organization, artifact, uid = _ids(
            text,
            f"organizations/acme/artifacts/redis/syncJobs/{_UID_EXAMPLE}",
            check_slug,
            str,
            uid_of("sync job"),
        )
        return cls(ArtifactName.of(organization, artifact), uid)

    def __str__(self) -> str:
        return f"{self.artifact}/syncJobs/{self.uid}"


@dataclass(frozen=True, slots=True)
class UserName:
    """`organizations/acme/users/{uid}`; the e-mail address may stand for the uid."""

    organization: str
    user: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a resource name; raises InvalidName."""
        return cls(*_ids(text, "organizations/acme/users/ci@example.com", check_slug, check_user))

    @property
    def by_email(self) -> bool:
        """Whether the user is named by e-mail address."""
        return "@" in self.user

    def __str__(self) -> str:
        return f"organizations/{self.organization}/users/{self.user}"


@dataclass(frozen=True, slots=True)
class TokenName:
    """`organizations/acme/users/{uid or e-mail}/tokens/{uid}`."""

    user: UserName
    uid: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a resource name; raises InvalidName."""
        organization, user, uid = _ids(
            text,
            f"organizations/acme/users/ci@example.com/tokens/{_UID_EXAMPLE}",
            check_slug,
            check_user,
            uid_of("token"),
        )
        return cls(UserName(organization, user), uid)

    def __str__(self) -> str:
        return f"{self.user}/tokens/{self.uid}"


@dataclass(frozen=True, slots=True)
class CredentialName:
    """`organizations/acme/credentials/ecr-prod`."""

    organization: str
    credential: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a resource name; raises InvalidName."""
        return cls(*_ids(text, "organizations/acme/credentials/ecr-prod", check_slug, check_credential_id))

    def __str__(self) -> str:
        return f"organizations/{self.organization}/credentials/{self.credential}"


@dataclass(frozen=True, slots=True)
class CustomerName:
    """`organizations/acme/customers/globex`."""

    organization: str
    customer: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a resource name; raises InvalidName."""
        return cls(*_ids(text, "organizations/acme/customers/globex", check_slug, check_customer_id))

    def __str__(self) -> str:
        return f"organizations/{self.organization}/customers/{self.customer}"


@dataclass(frozen=True, slots=True)
class EntitlementName:
    """`organizations/acme/entitlements/trial`."""

    organization: str
    entitlement: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a resource name; raises InvalidName."""
        return cls(*_ids(text, "organizations/acme/entitlements/trial", check_slug, check_entitlement_id))

    def __str__(self) -> str:
        return f"organizations/{self.organization}/entitlements/{self.entitlement}"


@dataclass(frozen=True, slots=True)
class NodeName:
    """`nodes/eu-west-1a`."""

    node: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a resource name; raises InvalidName."""
        return cls(*_ids(text, "nodes/eu-west-1a", check_node_id))

    def __str__(self) -> str:
        return f"nodes/{self.node}"


_Check = Callable[[str], str]


def _ids(text: str, example: str, *checks: _Check) -> list[str]:
    """Take the ids out of a name that has the collections of the example, each by the check of its place."""
    found, model = text.split("/"), example.split("/")
    if len(found) != len(model) or found[::2] != model[::2] or not all(found):
        raise InvalidName(f"{shown(text)} is no name of this resource: give one like {example}.")
    return [check(identifier) for check, identifier in zip(checks, found[1::2], strict=True)]
