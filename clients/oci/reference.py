"""Names of repositories, tags and references (OCI distribution specification, "Pulling manifests")."""

import re

from clients.oci.digest import Digest, InvalidReference, ReferencePart, shown

__all__ = [
    "InvalidReference",
    "ReferencePart",
    "check_repository",
    "check_tag",
    "parse_pulled",
    "parse_reference",
]

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_LATEST = "latest"
# What clients take at most, host included (the specification's note to implementers).
_REPOSITORY_LENGTH = 255


def check_repository(name: str) -> str:
    """Returns `name` when it is a repository name of at most 255 characters; raises InvalidReference."""
    if len(name) > _REPOSITORY_LENGTH:
        raise InvalidReference(
            ReferencePart.NAME,
            f"The repository name {shown(name)} is longer than {_REPOSITORY_LENGTH} characters.",
        )
    if not _REPOSITORY.fullmatch(name):
        raise InvalidReference(
            ReferencePart.NAME,
            f"{shown(name)} is not a repository name: write lower-case letters and digits, separated "
            "by single . _ / or any number of -, as in team/my-app.",
        )
    return name


def check_tag(tag: str) -> str:
    """Returns `tag` when it is a tag; raises InvalidReference."""
    if not _TAG.fullmatch(tag):
        raise InvalidReference(
            ReferencePart.TAG,
            f"{shown(tag)} is not a tag: write 1 to 128 letters, digits, . _ or -, not starting with . or -.",
        )
    return tag


def parse_reference(text: str) -> str | Digest:
    """Reads `<tag-or-digest>`: a digest has a colon, a tag has none; raises InvalidReference."""
    return Digest.parse(text) if ":" in text else check_tag(text)


def parse_pulled(text: str) -> tuple[str, str | Digest]:
    """Reads what is to be pulled, without a host: `acme/app:1.2.3`, `acme/app@sha256:...`, `acme/app`.

    Gives the repository, and the digest or tag, `latest` where there is none; raises InvalidReference.
    """
    repository, separator, digest = text.partition("@")
    if separator:
        return check_repository(repository), Digest.parse(digest)
    if ":" in text.rpartition("/")[2]:
        repository, _, tag = text.rpartition(":")
        return check_repository(repository), check_tag(tag)
    return check_repository(text), _LATEST
