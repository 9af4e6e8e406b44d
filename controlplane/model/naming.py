"""Resource names (AIP-122): what the API calls the rows of the tables.

An artifact's id is its repository name below the organization, which may have several
components; in resource names they are separated by `~`, which repository names never contain:
`acme/team/app` is `organizations/acme/artifacts/team~app`.
"""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from clients.oci.reference import InvalidReference, check_repository, check_tag

_SLUG: Final = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*", re.ASCII)
_SLUG_LENGTH: Final = range(2, 64)
_ID: Final = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
_EMAIL: Final = re.compile(r"[^\s@/\x00-\x1f\x7f]+@[^\s@/\x00-\x1f\x7f]+")
_EMAIL_LENGTH: Final = 254
_UID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_UID_EXAMPLE: Final = "01234567-89ab-4cde-8f01-23456789abcd"
# Stands for every user of an organization (AIP-159).
ANY_USER: Final = "-"


class InvalidName(ValueError):
    """A name or id of another form; `str()` is a sentence with a good example."""


def new_uid() -> str:
    """Make the immutable public identity of a new row."""
    return str(uuid.uuid4())


def check_slug(text: str) -> str:
    """Give an organization's id back if it is one; raises InvalidName."""
    if len(text) not in _SLUG_LENGTH or not _SLUG.fullmatch(text):
        raise InvalidName(
            f"{_shown(text)} is no organization id: give 2 to 63 of a-z and 0-9, with single - _ . within,"
            " like acme."
        )
    return text


def check_artifact_id(text: str) -> str:
    """Give the path that an artifact's id means, separators as in repositories; raises InvalidName."""
    return _repository(text.replace("~", "/"))


def check_email(text: str) -> str:
    """Give an e-mail address in lower case, if it is one; raises InvalidName."""
    if len(text) > _EMAIL_LENGTH or not _EMAIL.fullmatch(text):
        raise InvalidName(f"{_shown(text)} is no e-mail address: give one like ci@example.com.")
    return text.lower()


def _id_of(kind: str, example: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not _ID.fullmatch(text):
            raise InvalidName(
                f"{_shown(text)} is no {kind} id: give 1 to 63 of a-z, 0-9 and -, like {example}."
            )
        return text

    return check


# Each gives an id of its kind back if it is one; raises InvalidName.
check_node_id: Final = _id_of("node", "eu-west-1a")
check_credential_id: Final = _id_of("credential", "ecr-prod")
check_customer_id: Final = _id_of("customer", "globex")
check_entitlement_id: Final = _id_of("entitlement", "trial")


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
        _repository(f"{organization}/{path}")
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
        return ArtifactUid(*_ids(text, f"artifacts/{_UID_EXAMPLE}", _uid_of("artifact")))
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
            text, "organizations/acme/artifacts/redis/tags/7.2", check_slug, str, _check_tag
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
            _uid_of("sync job"),
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
        return cls(*_ids(text, "organizations/acme/users/ci@example.com", check_slug, _check_user))

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
            _check_user,
            _uid_of("token"),
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
        raise InvalidName(f"{_shown(text)} is no name of this resource: give one like {example}.")
    return [check(identifier) for check, identifier in zip(checks, found[1::2], strict=True)]


def _repository(text: str) -> str:
    try:
        return check_repository(text)
    except InvalidReference as error:
        raise InvalidName(str(error)) from error


def _check_tag(text: str) -> str:
    try:
        return check_tag(text)
    except InvalidReference as error:
        raise InvalidName(str(error)) from error


def _check_user(text: str) -> str:
    if "@" in text:
        return check_email(text)
    return text if text == ANY_USER else _check_user_uid(text)


def _uid_of(kind: str) -> _Check:
    def check(text: str) -> str:
        if not _UID.fullmatch(text):
            raise InvalidName(f"{_shown(text)} is no id of a {kind}: give one as the lists show it.")
        return text

    return check


_check_user_uid: Final = _uid_of("user")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")
