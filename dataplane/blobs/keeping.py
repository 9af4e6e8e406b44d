"""What happens to a blob once it is verified, and when it turns out to be rotten."""

import logging
from pathlib import Path

from clients.oci.digest import Digest
from dataplane.blobs.held import open_held
from dataplane.blobs.measures import Measures
from dataplane.blobs.space import Space
from dataplane.blobs.store import BlobStore, StoredBlob
from dataplane.blobs.tier import Tier
from dataplane.blobs.trouble import Trouble
from dataplane.blobs.usage import Used

logger = logging.getLogger(__name__)


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

    async def keep(self, digest: Digest, size: int, spool: Path) -> None:
        """Take a verified blob over, or leave its file where it is. Does not raise."""
        try:
            if not self._space.fits(size):
                logger.warning("blob %s is not kept: %d bytes are more than the cache may hold", digest, size)
                self._tier.put(digest, StoredBlob(open_held(spool), size))
                return
            before = self._store.peek(digest)
            if before is not None:
                before.close()
            await self._store.commit(digest, spool)
            self._tier.put(digest, self._store.peek(digest))
        except OSError as error:
            logger.exception("blob %s was verified and served, but cannot be stored", digest)
            self._trouble.note(f"The disk does not take blobs: {error.strerror}. They are passed through.")
            return
        self._trouble.over()
        self._space.used(digest)
        try:
            await self._space.changed(Used(size, 1) + (Used() if before is None else -Used(before.size, 1)))
        except OSError:
            logger.exception("what blob %s takes cannot be accounted for", digest)

    async def drop(self, digest: Digest, size: int) -> None:
        """Remove a stored blob of so many bytes, which is rotten; raises OSError."""
        if await self._store.remove(digest):
            await self._space.changed(-Used(size, 1))

    async def forget(self, digest: Digest, size: int) -> None:
        """Remove a stored blob of so many bytes, which could not be read. Does not raise."""
        self._measures.rotten += 1
        try:
            await self.drop(digest, size)
        except OSError:
            logger.exception("stored blob %s cannot be read, and not be removed either", digest)
