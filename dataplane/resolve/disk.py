"""Small things on disk, bounded by bytes: what was resolved, for the days without a control plane.

Every file carries the SHA-256 of what it holds, so that a damaged one is as good as none. Files are
replaced whole, but not forced to the disk: they survive the process, and after a power failure at
worst they have to be asked for again. The workers of a node share one folder: what one resolved is
there for all of them, and for those that come after.
"""

import hashlib
import logging
import os
import secrets
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Final

_LOG = logging.getLogger(__name__)
_SEAL = 32
_SPOOL = ".new-"
# What a file costs beyond its bytes; keeps the number of files bounded as well.
_OVERHEAD = 512
# Seconds after which nobody is still writing a spool.
_ABANDONED: Final = 60.0
# Seconds that a file's time may be ahead of the clock that it is from.
_ROUNDING: Final = 1.0
# The part of the limit that one process writes before it looks again at what all have written.
_UNSEEN: Final = 16


class Disk:
    """Keeps content under names of the form `folder/.../file`. Its methods block, and take turns.

    It is a cache: what cannot be written is not kept, and that is logged. Each of the processes that
    share the folder may go beyond `max_bytes` by a sixteenth.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._bytes = 0
        # Written by this process since it last looked at the folder.
        self._written = 0
        # Least recently used first; what others wrote since is not in it.
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._turn = threading.Lock()

    def prepare(self) -> None:
        """Find what is there, and remove what a crash left half written."""
        with self._turn:
            self._look()

    def read(self, name: str) -> bytes | None:
        """Give what is kept under the name; None where nothing can be had, or only something damaged."""
        path = self._root / name
        try:
            sealed = path.read_bytes()
            # A disk that has become read-only still serves.
            with suppress(OSError):
                os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            _LOG.warning("The cache file %s cannot be read: %s", name, error.strerror or error)
            return None
        content = sealed[_SEAL:]
        if sealed[:_SEAL] != hashlib.sha256(content).digest():
            _LOG.warning("The cache file %s is damaged and is not used.", name)
            self.remove(name)
            return None
        with self._turn:
            self._note(name, len(sealed))
        return content

    def write(self, name: str, content: bytes) -> None:
        """Keep content under the name, in the place of what was there; older things make room for it."""
        path = self._root / name
        spool = path.with_name(f"{_SPOOL}{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            spool.write_bytes(hashlib.sha256(content).digest() + content)
            with self._turn:
                spool.replace(path)
                self._note(name, _SEAL + len(content))
                self._written += _SEAL + len(content) + _OVERHEAD
                if self._written > self._max_bytes // _UNSEEN:
                    self._look()
                self._trim()
        except OSError as error:
            _LOG.warning("The cache file %s cannot be written: %s", name, error.strerror or error)
            with suppress(OSError):
                spool.unlink()

    def remove(self, name: str) -> None:
        """Forget what is kept under the name."""
        with self._turn:
            self._remove(name)

    def names(self, folder: str) -> list[str]:
        """List what is kept under the folder."""
        try:
            paths = list((self._root / folder).iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            _LOG.warning("The cache folder %s cannot be read: %s", folder, error.strerror or error)
            return []
        return [f"{folder}{os.sep}{path.name}" for path in paths if not path.name.startswith(_SPOOL)]

    def _look(self) -> None:
        found = []
        now = time.time()
        for path in self._root.rglob("*"):
            # Another process may remove it meanwhile, and the disk be read-only.
            with suppress(OSError):
                status = path.stat()
                if not path.name.startswith(_SPOOL):
                    if path.is_file():
                        found.append((status.st_mtime, str(path.relative_to(self._root)), status.st_size))
                elif abs(now - status.st_mtime) > _ABANDONED:
                    path.unlink()
        self._bytes = self._written = 0
        self._sizes.clear()
        # Since a clock that was set back, uses before it are to come: when they were, nobody knows.
        for _, name, size in sorted(found, key=lambda file: (file[0] <= now + _ROUNDING, file)):
            self._note(name, size)
        self._trim()

    def _note(self, name: str, size: int) -> None:
        # Newest last, whether it was known or not.
        self._bytes += size + _OVERHEAD - self._sizes.pop(name, 0)
        self._sizes[name] = size + _OVERHEAD

    def _trim(self) -> None:
        while self._bytes > self._max_bytes:
            self._remove(next(iter(self._sizes)))

    def _remove(self, name: str) -> None:
        self._bytes -= self._sizes.pop(name, 0)
        try:
            (self._root / name).unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("The cache file %s cannot be removed: %s", name, error.strerror or error)
