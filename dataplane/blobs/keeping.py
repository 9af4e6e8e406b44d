"""What happens to a blob once it is verified, and when it turns out to be rotten or unreadable."""

import logging
from collections import OrderedDict
from pathlib import Path
from typing import Final

from clients.oci.digest import Digest
from dataplane.blobs.held import open_held
from dataplane.blobs.measures import Measures
from dataplane.blobs.space import Space
from dataplane.blobs.store import BlobStore, StoredBlob
from dataplane.blobs.tier import Tier
from dataplane.blobs.trouble import Trouble
from dataplane.blobs.usage import Used
from dataplane.blobs.way import Key

logger = logging.getLogger(__name__)

# Blobs whose files cannot be read; a disk with more of them has worse trouble.
_REMEMBERED: Final = 1000


class Keeping:
    """Puts blobs into the store and behind it, takes them out, and keeps account."""

    def __init__(
        self, store: BlobStore, space: Space, tier: Tier, trouble: Trouble, measures: Measures
    ) -> None:
        self._store = store
        self._space = space
        self._tier = tier
        self._trouble = trouble
        self._measures = measures
        self._unreadable: OrderedDict[Digest, int] = OrderedDict()

    async def keep(self, key: Key, spool: Path) -> None:
        """Take a verified blob over, or leave its file where it is. Does not raise."""
        digest, size, _ = key
        try:
            if not self._space.fits(size):
                logger.warning("blob %s is not kept: %d bytes are more than the cache may hold", digest, size)
                self._tier.put(key, StoredBlob(open_held(spool), size))
                return
            replaced = await self._store.commit(digest, spool)
            self._tier.put(key, self._store.peek(digest))
        except OSError as error:
            logger.exception("blob %s was verified and served, but cannot be stored", digest)
            self._trouble.failed(error)
            return
        self._trouble.over()
        self._unreadable.pop(digest, None)
        self._space.used(digest)
        try:
            await self._space.changed(Used(size, 1) + (Used() if replaced is None else -Used(replaced, 1)))
        except OSError:
            logger.exception("what blob %s takes cannot be accounted for", digest)

    async def drop(self, digest: Digest, size: int) -> None:
        """Remove a stored blob of so many bytes, which is rotten; raises OSError."""
        if await self._store.remove(digest):
            await self._space.changed(-Used(size, 1))

    async def forget(self, digest: Digest, size: int) -> None:
        """Remove a stored blob of so many bytes, which has lost its end. Does not raise."""
        self._measures.rotten += 1
        try:
            await self.drop(digest, size)
        except OSError:
            logger.exception("stored blob %s has lost its end, and cannot be removed either", digest)

    def unreadable(self, digest: Digest, inode: int, error: OSError) -> None:
        """Note that the disk failed to give a stored blob, which says nothing of its bytes.

        What is in that file is not asked for again in this process, so that the blob is fetched, and its
        file is replaced once that is verified.
        """
        self._measures.unreadable += 1
        self._unreadable[digest] = inode
        if len(self._unreadable) > _REMEMBERED:
            self._unreadable.popitem(last=False)
        cause = error.strerror or "an error of the disk"
        logger.error("stored blob %s cannot be read, and is fetched again: %s", digest, cause)
        self._trouble.mention(f"The disk cannot read {digest}: {cause}. It is fetched again.")

    def is_readable(self, digest: Digest, stored: StoredBlob) -> bool:
        """Tell whether a stored blob is in no file that the disk failed to give."""
        if digest not in self._unreadable:
            return True
        if self._unreadable[digest] == stored.inode:
            return False
        # Another process has stored it again; the number may come to mean a good file.
        del self._unreadable[digest]
        return True
