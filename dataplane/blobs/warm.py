"""Blobs that the disk has, for readers, while nothing speaks against them."""

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from clients.oci.digest import Digest
from clients.process.descriptors import is_shortage
from dataplane.blobs.detour import Detours
from dataplane.blobs.keeping import Keeping
from dataplane.blobs.lately import Lately
from dataplane.blobs.measures import Measures
from dataplane.blobs.reader import BlobReader
from dataplane.blobs.space import Space
from dataplane.blobs.store import StoredBlob
from dataplane.blobs.way import Way

logger = logging.getLogger(__name__)

Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]], str], None]
"""Has work done that nobody waits for, under a name."""


class Warm:
    """Finds blobs that are stored, and makes readers of them: on the path of every pull."""

    def __init__(
        self,
        lately: Lately,
        keeping: Keeping,
        space: Space,
        detours: Detours,
        measures: Measures,
        spawn: Spawn,
    ) -> None:
        self._lately = lately
        self._keeping = keeping
        self._space = space
        self._detours = detours
        self._measures = measures
        self._spawn = spawn

    def find(self, digest: Digest, size: int) -> StoredBlob | None:
        """Open a blob that is stored, has this size in bytes and can be read; None for all others.

        Doubts are still to be asked about it. Raises OSError where no descriptor is left.
        """
        try:
            stored = self._lately.open(digest)
        except OSError as error:
            if is_shortage(error):
                raise
            logger.exception("stored blob %s cannot be opened, and is fetched again", digest)
            return None
        if stored is None:
            return None
        if stored.size != size:
            # It stays until a verified one takes its place, for it may be the manifest that is wrong.
            stored.close()
            logger.error(
                "stored blob %s has %d bytes instead of %d, and is fetched again", digest, stored.size, size
            )
            return None
        if not self._keeping.is_readable(digest, stored):
            stored.close()
            return None
        return stored

    def reader(self, stored: StoredBlob, digest: Digest, way: Way | None) -> BlobReader:
        """Make a reader of what was found, which takes it over; without `way` it gets no byte elsewhere."""
        self._measures.hits += 1
        self._space.used(digest)
        broken = partial(self._broken, digest, stored)
        return BlobReader(stored.file, stored.size, None, way, self._detours, broken)

    def _broken(self, digest: Digest, stored: StoredBlob, error: OSError | None) -> None:
        if error is None:
            self._spawn(partial(self._keeping.forget, digest, stored.size), "forget")
        else:
            self._keeping.unreadable(digest, stored.inode, error)
