"""Access tokens: how they are made, recognised and hashed.

A token is a prefix that says what it is for, 30 random characters of 62 (178 bits), and 6 characters
of checksum, so that a mistyped or cut off token is known without looking it up, and secret scanners
find true ones: `pst_` for users, `psn_` for nodes.
"""

import hashlib
import re
import secrets
import string
import zlib
from enum import StrEnum

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_LENGTH = 30
_CHECKSUM_LENGTH = 6
_SHAPE = re.compile(r"ps[tn]_[0-9A-Za-z]{36}", re.ASCII)


class TokenKind(StrEnum):
    """Whom a token is for; the value is its prefix."""

    USER = "pst"
    NODE = "psn"


def new_token(kind: TokenKind) -> str:
    """Make a token from the system's source of randomness."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return f"{kind}_{body}{_checksum(f'{kind}_{body}')}"


def is_well_formed(text: str) -> bool:
    """Whether the text has the shape of a token and its checksum is right; says nothing of its validity."""
    return (
        _SHAPE.fullmatch(text) is not None and _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]
    )


def sha256(text: str) -> bytes:
    """Hash a token as it is stored and looked up, 32 bytes.

    A plain hash is enough: 178 random bits cannot be guessed, and so need no salt and no slow function.
    """
    return hashlib.sha256(text.encode()).digest()


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    characters = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))
