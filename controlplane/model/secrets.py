"""Upstream secrets at rest: AES-256-GCM under a ring of keys, so that keys can be replaced while in use.

A sealed secret is `v1.<key id>.<base64 of nonce and ciphertext>`. It is bound to the row that holds it
(the additional data of AEAD, RFC 5116): moved to another row, it does not open.
"""

import base64
import binascii
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clients.process.exits import ConfigurationError
from clients.process.place import write_private

_VERSION: Final = "v1"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_FILE_LIMIT: Final = 64 * 1024
# Seconds that another process may take to write the key file, and between two looks whether it has.
_PATIENCE: Final = 2.0
_LOOK: Final = 0.005


class SealBroken(Exception):
    """A sealed secret does not open: its key is not in the ring, or it is not what was sealed."""


@dataclass(frozen=True, slots=True)
class Key:
    """One AES-256 key; `id` tells it from others and gives nothing away."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) != _KEY_BYTES:
            raise ValueError(f"an encryption key has {_KEY_BYTES} bytes")

    def __repr__(self) -> str:
        return f"Key({self.id})"

    @classmethod
    def generate(cls) -> Self:
        """Make a new random key."""
        return cls(secrets.token_bytes(_KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key from base64; raises ValueError."""
        return cls(base64.b64decode(text.strip(), validate=True))

    @property
    def id(self) -> str:
        """Eight hex digits, the same for the same key everywhere."""
        return hashlib.sha256(b"penstock key id" + self.secret).hexdigest()[:8]

    def __str__(self) -> str:
        return base64.b64encode(self.secret).decode()


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys, newest first: the first seals, all of them open."""

    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("a key ring has at least one key")

    def seal(self, secret: str, place: str, *, random: Callable[[int], bytes] = os.urandom) -> str:
        """Encrypt a secret for one place (the table, row and column that will hold it)."""
        key = self.keys[0]
        nonce = random(_NONCE_BYTES)
        sealed = AESGCM(key.secret).encrypt(nonce, secret.encode(), place.encode())
        return f"{_VERSION}.{key.id}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, place: str) -> str:
        """Decrypt what was sealed for this place; raises SealBroken."""
        version, key_id, content = self._parts(sealed)
        key = next((key for key in self.keys if key.id == key_id), None)
        if version != _VERSION or key is None:
            raise SealBroken(
                f"A stored secret was encrypted with key {key_id}, which this process does not have: give it"
                " that key, or set the secret anew."
            )
        try:
            raw = base64.b64decode(content, validate=True)
            if base64.b64encode(raw).decode() != content:
                # Base64 has bits that mean nothing, in which the same could be written otherwise.
                raise ValueError("it is not what was sealed")
            return AESGCM(key.secret).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode()).decode()
        except (binascii.Error, InvalidTag, ValueError):
            raise SealBroken("A stored secret was changed since it was saved: set it anew.") from None

    def is_current(self, sealed: str) -> bool:
        """Tell whether the newest key sealed this."""
        return self._parts(sealed)[1] == self.keys[0].id

    def completed(self, known: Self) -> Self:
        """Give the ring with those keys of one `known` before that it never had, at the place of their age.

        A rotation drops the oldest keys alone: a ring with a key of the other, but without a newer one of
        that, was written by somebody who did not know the newer one.
        """
        for count, key in enumerate(known.keys):
            if key in self.keys:
                place = self.keys.index(key)
                return replace(self, keys=(*self.keys[:place], *known.keys[:count], *self.keys[place:]))
        return self

    def _parts(self, sealed: str) -> Sequence[str]:
        parts = sealed.split(".")
        return parts if len(parts) == 3 else ("", "", "")


def read_keyring(text: str, source: str) -> Keyring:
    """Read keys in base64, newest first, one a line or separated by commas.

    `source` names the setting or file for ConfigurationError, which never shows a key.
    """
    try:
        return Keyring(tuple(Key.parse(part) for part in text.replace(",", "\n").split()))
    except (ValueError, binascii.Error):
        raise ConfigurationError(
            f"{source} does not hold encryption keys: give 32 random bytes in base64, one key a line, newest"
            " first (for example: openssl rand -base64 32)."
        ) from None


def load_keyring(path: Path) -> Keyring:
    """Read the ring of a key file; makes one with a new key (mode 0600) where there is none.

    Raises ConfigurationError where the file cannot be read or written.
    """
    ring = _read_file(path)
    if ring is not None:
        return ring
    with alone(path):
        # Who came first has made one.
        ring = _read_file(path)
        if ring is None:
            ring = Keyring((Key.generate(),))
            save_keyring(path, ring)
    return ring


def _read_file(path: Path) -> Keyring | None:
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_LIMIT)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"The key file {path} cannot be read ({error.strerror}): run this as the user that owns it."
        ) from error
    return read_keyring(content.decode("ascii", errors="replace"), str(path))


def save_keyring(path: Path, ring: Keyring) -> None:
    """Write the ring's file, whole or not at all; raises ConfigurationError."""
    try:
        write_private(path, "".join(f"{key}\n" for key in ring.keys).encode())
    except OSError as error:
        raise _not_written(path, error) from error


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Have no other process write the key file between a look at it and what is written for that.

    The lock is on a file beside it, which is replaced when it is written, and the kernel gives it back when
    the process ends. Waits for moments; raises ConfigurationError.
    """
    end = time.monotonic() + _PATIENCE
    try:
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise ConfigurationError(
                        f"The key file {path} is being written by another process, which does not end."
                    ) from None
                time.sleep(_LOOK)
            except OSError as error:
                raise _not_written(path, error) from error
        yield
    finally:
        os.close(descriptor)


def _not_written(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"The key file {path} cannot be written ({error.strerror}): make its directory writable."
    )
