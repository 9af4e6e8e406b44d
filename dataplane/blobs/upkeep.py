"""Looking after the disk that blobs are on: is it ready, is there room, does it work again."""

import asyncio
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from clients.process.exits import ConfigurationError
from clients.process.place import DISK_TROUBLE
from dataplane.blobs.space import Space
from dataplane.blobs.store import BlobStore
from dataplane.blobs.threads import Threads
from dataplane.blobs.trouble import Trouble

logger = logging.getLogger(__name__)

# Seconds between two looks at what other processes and programs have done to the disk, and two counts.
_LOOK: Final = 30.0
_LOOKS_TO_SWEEP: Final = 20


class Upkeep:
    """Makes store and spool folder ready once, and then again whenever the disk was in trouble."""

    def __init__(
        self, store: BlobStore, folder: Path, space: Space, threads: Threads, trouble: Trouble
    ) -> None:
        self._store = store
        self._folder = folder
        self._space = space
        self._threads = threads
        self._trouble = trouble

    async def start(self) -> None:
        """Make the folders ready; raises ConfigurationError where they never will be.

        Where it is only that the disk takes nothing now, that is the trouble until it is better.
        """
        try:
            await self._make_ready()
        except OSError as error:
            if error.errno not in DISK_TROUBLE:
                raise ConfigurationError(
                    f"The folder {self._folder} for blobs that are being fetched cannot be used: "
                    f"{error.strerror or error}; make it a directory that this process may write to."
                ) from error
            self._trouble.failed(error)

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        looks = 0
        while True:
            await asyncio.sleep(_LOOK)
            looks += 1
            try:
                with suppress(OSError):
                    await self.look(whole=not looks % _LOOKS_TO_SWEEP)
            except Exception:
                # Nobody else looks, for as long as the process lives.
                logger.exception("the room for blobs could not be looked after, and is again later")

    async def look(self, *, whole: bool) -> None:
        """See how the disk does, and make room on it if there is too little. Raises OSError."""
        if self._trouble.pauses:
            return
        try:
            if self._trouble.sentence:
                await self._make_ready()
                self._trouble.over()
            else:
                await (self._space.sweep() if whole else self._space.look())
        except OSError as error:
            self._trouble.failed(error)
            raise

    async def _make_ready(self) -> None:
        await self._store.prepare()
        await self._threads.disk(_prepare, self._folder)
        await self._space.sweep()


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Tells now, not at the first pull, that nothing can be written here.
    probe = folder / f"probe-{os.getpid()}"
    try:
        probe.write_bytes(bytes(4096))
    finally:
        probe.unlink(missing_ok=True)
