"""Stored blobs whose files were written by somebody else: verified before any client gets a byte of them."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from clients.oci.digest import Digest
from clients.process.merge import Merge
from dataplane.blobs.scrub import Unreadable
from dataplane.blobs.store import StoredBlob

logger = logging.getLogger(__name__)

# Blobs that are right, of which the store cannot keep that: its disk is read-only.
_REMEMBERED: Final = 1000


class Doubts:
    """Has them verified, once for all who wait; `stop` it at the end.

    `verify` reads a stored blob again, and vouches for it or drops it; `set_aside` is told of one, by the
    inode of its file, that is rotten and cannot be dropped.
    """

    def __init__(
        self,
        verify: Callable[[Digest], Awaitable[bool]],
        set_aside: Callable[[Digest, int, OSError], None],
    ) -> None:
        self._verify = verify
        self._set_aside = set_aside
        self._right: OrderedDict[Digest, int] = OrderedDict()
        self._verifying: Merge[tuple[Digest, int], None] = Merge()

    def concern(self, digest: Digest, stored: StoredBlob) -> bool:
        """Tell whether a blob is to be verified first."""
        return stored.changed is not None and self._right.get(digest) != stored.changed

    async def settle(self, digest: Digest, stored: StoredBlob) -> None:
        """Verify a blob that they concern, and close it: what is stored after that can be opened again."""
        changed, inode = stored.changed or 0, stored.inode
        stored.close()
        await self._verifying.run((digest, changed), lambda: self._settle(digest, changed, inode))

    async def stop(self) -> None:
        """Give up what is being verified."""
        await self._verifying.stop()

    async def _settle(self, digest: Digest, changed: int, inode: int) -> None:
        logger.warning("the file of stored blob %s was written by somebody else, and is verified", digest)
        try:
            if not await self._verify(digest):
                return
        except Unreadable:
            # It is known as such, and fetched.
            return
        except OSError as error:
            self._set_aside(digest, inode, error)
            return
        self._right[digest] = changed
        if len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)
