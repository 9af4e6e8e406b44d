"""Platforms of manifests, and which of them an artifact keeps."""

import re
from collections.abc import Collection
from typing import Final

# os/architecture, with a variant where there are several (image specification, image-index.md).
_PLATFORM: Final = re.compile(r"[a-z0-9._-]{1,32}/[a-z0-9._-]{1,32}(?:/[a-z0-9._-]{1,32})?")
# What an architecture is where no variant is named, as container runtimes take it.
_DEFAULT_VARIANTS: Final = {"arm64": "v8", "arm": "v7"}
# How builders write that a manifest, of an attestation, runs nowhere.
_NOWHERE: Final = "unknown/unknown"


class InvalidPlatform(ValueError):
    """Text that names no platform; `str()` is a sentence with a good example."""


def check_platform(text: str) -> str:
    """Give `text` where it is a platform; raises InvalidPlatform."""
    if not _PLATFORM.fullmatch(text):
        raise InvalidPlatform(
            f"{text[:80]!r} is not a platform: write os/architecture[/variant], like linux/amd64"
            " or linux/arm/v7."
        )
    return text


def is_kept(platform: str, kept: Collection[str]) -> bool:
    """Tell whether a manifest of this platform is brought, where only `kept` are; all where that is empty.

    What names no platform (an index in an index, an attestation) always is. A variant that is not
    written is the usual one of its architecture; a kept platform without one takes all variants.
    """
    if not kept or not platform or platform == _NOWHERE:
        return True
    return any(_takes(each, platform) for each in kept)


def _takes(kept: str, platform: str) -> bool:
    wanted, offered = kept.split("/"), platform.split("/")
    if wanted[:2] != offered[:2]:
        return False
    if len(wanted) == 2:
        return True
    usual = _DEFAULT_VARIANTS.get(offered[1], "") if len(offered) > 1 else ""
    return wanted[2] == (offered[2] if len(offered) > 2 else usual)
