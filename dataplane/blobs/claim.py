"""The right to fetch one blob, which one process of a node holds at a time, and what came of it."""

import fcntl
import json
import logging
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from dataplane.blobs import verdict
from dataplane.blobs.verdict import Failure

logger = logging.getLogger(__name__)

SUFFIX: Final = ".claim"
# Written in one piece, over the same block each time: a disk that is full still takes a verdict.
_RECORD: Final = 4096
# White space to JSON, and other than what is between a record and its end otherwise.
_JOINED: Final = b"\n"


class Claim:
    """An open claim file: a lock that ends with the process that holds it, and a record for all the others.

    The record says which spool file is filled (an inode of this boot of the machine), and at last the
    verdict. Other processes learn of every change by a modification of the file, or its being closed.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open the file, and make it if `create`; raises OSError."""
        self.path = path
        self.held = False
        """Whether this is the process that fetches."""
        self._descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o640)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor, to be told of changes."""
        return self._descriptor

    def take(self) -> bool:
        """Become the process that fetches, unless there is one."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.held = True
        return True

    def is_current(self) -> bool:
        """Tell whether the file still has its name: whoever ends a claim takes the name away first."""
        with suppress(FileNotFoundError):
            return os.fstat(self._descriptor).st_ino == self.path.stat().st_ino
        return False

    def reserve(self) -> None:
        """Say, as its holder, that the fill has the room that it needs: the file is empty until then.

        Raises OSError.
        """
        if not os.fstat(self._descriptor).st_size:
            self._write({})

    def announce(self, spool: int) -> None:
        """Say which inode is being filled, as its holder; raises OSError."""
        self._write({"boot": _boot(), "spool": spool})

    def settle(self, failure: Failure | None) -> None:
        """Say how it ended, as its holder; None means that the spool holds the right bytes."""
        said = {} if failure is None else verdict.written(failure)
        try:
            self._write({**self._read(), "verdict": said})
        except OSError:
            # Followers then find the claim ended without a verdict, and help themselves.
            logger.exception("other processes cannot be told how the fetch of %s ended", self.path.stem)

    def spool(self) -> int | None:
        """The inode that is being filled; None when none was announced, or before the machine restarted.

        After a restart of the machine a file may have a length, and not the bytes that were written.
        """
        record = self._read()
        return int(record["spool"]) if record.get("boot") == _boot() else None

    def is_settled(self) -> bool:
        """Tell whether there is a verdict."""
        return "verdict" in self._read()

    def failure(self) -> Failure | None:
        """The verdict's failure; None when the bytes are right, or nothing is settled yet."""
        fields = self._read().get("verdict")
        return verdict.read(fields) if fields else None

    def join(self) -> None:
        """Say that somebody waits for this fetch, in whatever process; raises OSError."""
        os.pwrite(self._descriptor, _JOINED, _RECORD - 1)

    def is_joined(self) -> bool:
        """Tell whether somebody has said so."""
        with suppress(OSError):
            return os.pread(self._descriptor, 1, _RECORD - 1) == _JOINED
        return False

    def end(self) -> None:
        """Take the name away, as its holder, and let go of the lock."""
        try:
            if self.held and self.is_current():
                self.path.unlink()
        except OSError:
            logger.exception("the file %s could not be removed", self.path)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of file and lock, and leave the rest to others; may be called again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _read(self) -> dict[str, Any]:
        # What is not JSON is half of a record; the event of its other half is on its way.
        with suppress(ValueError):
            record: dict[str, Any] = json.loads(os.pread(self._descriptor, _RECORD, 0))
            return record
        return {}

    def _write(self, record: dict[str, Any]) -> None:
        content = json.dumps(record, ensure_ascii=False).encode()
        last = _JOINED if self.is_joined() else b" "
        os.pwrite(self._descriptor, content.ljust(_RECORD - 1) + last, 0)


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
