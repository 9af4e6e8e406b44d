"""Descriptors: what points at content (OCI image specification, descriptor.md)."""

import re
from dataclasses import dataclass
from typing import Any, Self

from clients.oci.digest import Digest, InvalidReference
from clients.oci.strict_json import InvalidJson, check_spelling

# The grammar of RFC 6838, section 4.2, as the specification asks for.
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
# Section 4.3: Sigstore's bundles have some (`application/vnd.dev.sigstore.bundle+json;version=0.2`).
_PARAMETERS = r";[\x20-\x7e]{1,127}"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}(?:{_PARAMETERS})?")
_PLATFORM_PART = re.compile(r"[A-Za-z0-9._-]{0,64}")
_FIELDS = frozenset(
    {"mediaType", "digest", "size", "platform", "artifactType", "urls", "data", "annotations"}
)
_PLATFORM_FIELDS = frozenset({"architecture", "os", "os.version", "os.features", "variant", "features"})
_LARGEST = 2**63 - 1


class InvalidDescriptor(ValueError):
    """JSON that is no descriptor; `str()` completes a sentence that names where it stands."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Type, name and size in bytes of content; `platform` is `linux/arm64/v8`, or empty."""

    media_type: str
    digest: Digest
    size: int
    platform: str = ""

    @classmethod
    def read(cls, value: object) -> Self:
        """Reads a descriptor from parsed JSON; raises InvalidDescriptor."""
        if not isinstance(value, dict):
            raise InvalidDescriptor("is not an object")
        try:
            check_spelling(value, _FIELDS)
        except InvalidJson as error:
            raise InvalidDescriptor(str(error)) from error
        size = value.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST:
            raise InvalidDescriptor("has no size in bytes")
        return cls(
            read_media_type(value.get("mediaType")), _digest(value.get("digest")), size, _platform(value)
        )


def read_media_type(value: object) -> str:
    """Reads a media type, with its parameters, from parsed JSON; raises InvalidDescriptor."""
    if not isinstance(value, str) or not _MEDIA_TYPE.fullmatch(value):
        raise InvalidDescriptor("has no valid media type")
    return value


def _digest(value: object) -> Digest:
    if not isinstance(value, str):
        raise InvalidDescriptor("has no digest")
    try:
        return Digest.parse(value)
    except InvalidReference as error:
        raise InvalidDescriptor(f"has a bad digest ({str(error).removesuffix('.')})") from error


def _platform(descriptor: dict[str, Any]) -> str:
    platform = descriptor.get("platform")
    if platform is None:
        return ""
    if not isinstance(platform, dict):
        raise InvalidDescriptor("has a platform that is not an object")
    try:
        check_spelling(platform, _PLATFORM_FIELDS)
    except InvalidJson as error:
        raise InvalidDescriptor(f"has a platform that {error}") from error
    parts = [platform.get(name) or "" for name in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) and _PLATFORM_PART.fullmatch(part) for part in parts):
        raise InvalidDescriptor("has a platform that is not made of short names")
    return "/".join(part for part in parts if part)
