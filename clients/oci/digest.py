"""Digests: what names content, and proves it (OCI image specification, descriptor.md, "Digests")."""

import hashlib
import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from hashlib import _Hash

# The registered algorithms, with the length of their hexadecimal form.
_LENGTHS = {"sha256": 64, "sha512": 128}
_FORM = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_SHOWN = 80


class ReferencePart(StrEnum):
    """What part of a reference was malformed."""

    NAME = "NAME"
    TAG = "TAG"
    DIGEST = "DIGEST"


class InvalidReference(ValueError):
    """A repository name, tag or digest that the specification's grammar does not allow.

    `reason` says which of them; `str()` is one sentence for users.
    """

    def __init__(self, reason: ReferencePart, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


def shown(text: str) -> str:
    """Quotes text from outside for a sentence: bounded, and without control characters."""
    quoted = ascii(text[:_SHOWN])
    if len(text) <= _SHOWN and len(quoted) <= _SHOWN + 2:
        return quoted
    return f"{quoted[:_SHOWN]}...{quoted[0]}"


class Digest(NamedTuple):
    """`sha256:<64 hexadecimal digits>`, or sha512 with 128; made by `parse` and `of`.

    A tuple, because digests are keys of what is looked up at each request: it is hashed and compared without
    a call of a method of ours.
    """

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a digest; raises InvalidReference for another form or an algorithm that is not registered."""
        # Longer than any digest, so that hostile input costs nothing.
        match = _FORM.fullmatch(text) if len(text) <= 2 * max(_LENGTHS.values()) else None
        if match is None:
            raise InvalidReference(
                ReferencePart.DIGEST,
                f"{shown(text)} is not a digest: write sha256: and 64 hexadecimal digits.",
            )
        algorithm, encoded = match.groups()
        length = _LENGTHS.get(algorithm)
        if length is None:
            raise InvalidReference(
                ReferencePart.DIGEST,
                f"The digest algorithm {shown(algorithm)} is not supported: use sha256 or sha512.",
            )
        if len(encoded) != length or not _HEXADECIMAL.fullmatch(encoded):
            raise InvalidReference(
                ReferencePart.DIGEST,
                f"{shown(text)} is not a digest: {algorithm}: is followed by {length} lower-case "
                "hexadecimal digits.",
            )
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        """Computes the digest of content; `algorithm` is sha256 or sha512."""
        return cls(algorithm, _HASHERS[algorithm](content).hexdigest())

    def hasher(self) -> "_Hash":
        """Makes a fresh hash of this digest's algorithm, to compare its `hexdigest()` with `encoded`."""
        return _HASHERS[self.algorithm]()

    def matches(self, content: bytes) -> bool:
        """Tells whether content is what this digest names."""
        return _HASHERS[self.algorithm](content).hexdigest() == self.encoded

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


_HASHERS = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
