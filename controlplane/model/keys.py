"""The key ring in use: where it comes from, and its rotation while everything goes on."""

import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

from clients.process.exits import ConfigurationError
from controlplane.model.secrets import (
    Key,
    Keyring,
    SealBroken,
    alone,
    load_keyring,
    read_keyring,
    save_keyring,
)

_LOG = logging.getLogger(__name__)

SETTING: Final = "PENSTOCK_ENCRYPTION_KEYS"
# Newest first. The one before the newest stays for a replica that has not read the file since.
_KEPT: Final = 2


class KeysAreSet(Exception):
    """The keys are in the environment, where no new one can be put from here; `str()` says what to do."""


class Keys:
    """Seals and opens secrets with the keys of the environment, or of a file that replicas may share.

    `text` is what PENSTOCK_ENCRYPTION_KEYS holds; where it is empty, the keys are in the file at `path`,
    which is made (mode 0600) where it is missing. Raises ConfigurationError where there are no good keys.
    """

    def __init__(self, text: str, path: Path) -> None:
        self._path = None if text else path
        self._seen: tuple[int, ...] = ()
        self._ring = read_keyring(text, SETTING) if text else load_keyring(path)
        self._stamp()

    def seal(self, secret: str, place: str) -> str:
        """Encrypt a secret for one place with the newest key."""
        self._read_again()
        return self._ring.seal(secret, place)

    def open(self, sealed: str, place: str) -> str:
        """Decrypt what was sealed for this place; raises SealBroken."""
        try:
            return self._ring.open(sealed, place)
        except SealBroken:
            # Another replica may have made a new key.
            if not self._read_again():
                raise
            return self._ring.open(sealed, place)

    def is_current(self, sealed: str) -> bool:
        """Tell whether the newest key sealed this."""
        return self._ring.is_current(sealed)

    def begin_rotation(self) -> Key:
        """Have a new key seal from now on, while all others still open; gives it.

        Keys in the environment are rotated by whoever sets it: raises KeysAreSet where there is only one.
        """
        if self._path is not None:
            with alone(self._path):
                self._read_again(is_alone=True)
                self._save(Keyring((Key.generate(), *self._ring.keys)))
        elif len(self._ring.keys) == 1:
            raise KeysAreSet(
                f"The encryption key is set by {SETTING}: put a new one before it (openssl rand -base64 32),"
                " a comma between them, restart every control plane, and rotate again."
            )
        return self._ring.keys[0]

    def end_rotation(self, newest: Key) -> None:
        """Drop keys that nothing is sealed with any more, for all has been sealed again since `newest` came.

        Not if there is a newer one by now, whoever made it: what was sealed meanwhile is not known, and its
        own rotation drops them.
        """
        if self._path is None:
            return
        with alone(self._path):
            self._read_again(is_alone=True)
            if self._ring.keys[0] == newest:
                self._save(Keyring(self._ring.keys[:_KEPT]))

    def _save(self, ring: Keyring) -> None:
        if self._path is not None:
            save_keyring(self._path, ring)
            self._ring = ring
            self._stamp()

    def _read_again(self, *, is_alone: bool = False) -> bool:
        """Read the file if it has changed; tells whether it had. `is_alone` says that no other writes it."""
        before = self._seen
        self._stamp()
        if self._path is None or self._seen == before:
            return False
        turn = nullcontext() if is_alone else alone(self._path)
        return self._load(self._path, turn) if self._seen else self._put_back(self._path, turn)

    def _load(self, path: Path, turn: AbstractContextManager[None]) -> bool:
        try:
            found = load_keyring(path)
        except ConfigurationError:
            # Whatever became of the file, what was read from it is still good.
            return False
        before, self._ring = self._ring, found.completed(self._ring)
        if self._ring != found:
            self._complete(path, before, turn)
        return True

    def _complete(self, path: Path, before: Keyring, turn: AbstractContextManager[None]) -> None:
        # Somebody who had missed a rotation has put the file back: nobody else may have the new key.
        try:
            with turn:
                self._save(load_keyring(path).completed(before))
        except ConfigurationError as error:
            _LOG.error("The key file %s lacks a key that this process has: %s", path, error)
        else:
            _LOG.warning("The key file %s lacked a key, which was written again.", path)

    def _put_back(self, path: Path, turn: AbstractContextManager[None]) -> bool:
        # Without it, what is sealed could be opened by nobody after this process.
        try:
            with turn:
                self._stamp()
                if not self._seen:
                    save_keyring(path, self._ring)
                    self._stamp()
                    _LOG.warning("The key file %s was gone, and was written again.", path)
                    return False
        except ConfigurationError as error:
            _LOG.error("The key file %s is gone, put it back before this process ends: %s", path, error)
            return False
        # Another process was quicker, which may have another key.
        return self._load(path, alone(path))

    def _stamp(self) -> None:
        if self._path is None:
            return
        try:
            found = self._path.stat()
        except OSError:
            self._seen = ()
        else:
            self._seen = (found.st_mtime_ns, found.st_ino, found.st_size)
