"""Resource names (AIP-122), from what people write.

People write `acme`, `acme/team/app`, `ci@example.com`; wherever they may, the whole resource name is
taken as well. Whether such a thing can exist is for the server to say.
"""

from dataclasses import dataclass
from typing import Self

_ARTIFACT_EXAMPLE = "give organization and artifact, like acme/redis"


class InvalidName(ValueError):
    """A name that cannot be one; `str()` says how to write it."""


@dataclass(frozen=True, slots=True)
class ArtifactPath:
    """An artifact as people write it: `acme/team/app`."""

    organization: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `acme/team/app` or `organizations/acme/artifacts/team~app`; raises InvalidName."""
        parts = text.split("/")
        if len(parts) == 4 and parts[0] == "organizations" and parts[2] == "artifacts":
            parts = [parts[1], *parts[3].split("~")]
        if len(parts) < 2 or not all(parts):
            raise InvalidName(f"{text!r} names no artifact: {_ARTIFACT_EXAMPLE}.")
        if ":" in parts[-1] or "@" in parts[-1]:
            raise InvalidName(
                f"{text!r} has a tag or digest, which an artifact has not: {_ARTIFACT_EXAMPLE}."
            )
        return cls(parts[0], "/".join(parts[1:]))

    @property
    def parent(self) -> str:
        """`organizations/acme`."""
        return f"organizations/{self.organization}"

    @property
    def identifier(self) -> str:
        """The artifact's id, the last part of its name: `team~app`."""
        return self.path.replace("/", "~")

    @property
    def name(self) -> str:
        """`organizations/acme/artifacts/team~app`."""
        return f"{self.parent}/artifacts/{self.identifier}"

    def __str__(self) -> str:
        return f"{self.organization}/{self.path}"


def organization(text: str) -> str:
    """Give the name of the organization that is written `acme`; raises InvalidName."""
    return f"organizations/{_segment(text, 'organizations/', 'organization', 'acme')}"


def user(organization_text: str, text: str) -> str:
    """Give the name of a user, by e-mail address or id; raises InvalidName."""
    parent = organization(organization_text)
    return f"{parent}/users/{_segment(text, f'{parent}/users/', 'user', 'ci@example.com')}"


def credential(text: str) -> str:
    """Give the name of the credential that is written `acme/hub`; raises InvalidName."""
    parent, identifier = credential_parts(text)
    return f"{parent}/credentials/{identifier}"


def credential_parts(text: str) -> tuple[str, str]:
    """Give the parent and the id of the credential that is written `acme/hub`; raises InvalidName."""
    return _two(text, "credentials", "credential", "acme/hub")


def customer(organization_text: str, text: str) -> str:
    """Give the name of a customer of an organization by its id; raises InvalidName."""
    parent = organization(organization_text)
    return f"{parent}/customers/{_segment(text, f'{parent}/customers/', 'customer', 'globex')}"


def customer_parts(text: str) -> tuple[str, str]:
    """Give the parent and the id of the customer that is written `acme/globex`; raises InvalidName."""
    return _two(text, "customers", "customer", "acme/globex")


def entitlement(organization_text: str, text: str) -> str:
    """Give the name of an entitlement of an organization by its id; raises InvalidName."""
    parent = organization(organization_text)
    return f"{parent}/entitlements/{_segment(text, f'{parent}/entitlements/', 'entitlement', 'trial')}"


def artifact(organization_text: str, text: str) -> str:
    """Give the name of an artifact that is written `redis`, `team/app` or `acme/redis` of acme.

    An artifact `acme/redis` of acme itself is written `acme/acme/redis`. Raises InvalidName.
    """
    parent = organization(organization_text)
    slug = last(parent)
    path = text if text.startswith((f"{slug}/", "organizations/")) else f"{slug}/{text}"
    return ArtifactPath.parse(path).name


def node(text: str) -> str:
    """Give the name of the node that is written `eu-1`; raises InvalidName."""
    return f"nodes/{_segment(text, 'nodes/', 'node', 'eu-1')}"


def tag(text: str) -> str:
    """Give the name of the tag that is written `acme/redis:7`; raises InvalidName."""
    artifact, separator, label = text.rpartition(":")
    if not separator or not label or "/" in label:
        raise InvalidName(f"{text!r} names no tag: give artifact and tag, like acme/redis:7.")
    return f"{ArtifactPath.parse(artifact).name}/tags/{label}"


def last(name: str) -> str:
    """Give the last part of a resource name, its id."""
    return name.rsplit("/", 1)[-1]


def _two(text: str, collection: str, kind: str, example: str) -> tuple[str, str]:
    parts = text.split("/")
    if len(parts) == 4 and parts[0] == "organizations" and parts[2] == collection:
        parts = [parts[1], parts[3]]
    if len(parts) != 2 or not all(parts):
        raise InvalidName(f"{text!r} names no {kind}: give organization and {kind}, like {example}.")
    return f"organizations/{parts[0]}", parts[1]


def _segment(text: str, prefix: str, kind: str, example: str) -> str:
    segment = text.removeprefix(prefix)
    if not segment or "/" in segment:
        raise InvalidName(f"{text!r} names no {kind}: write it like {example}.")
    return segment
