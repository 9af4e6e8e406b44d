"""What the bucket is still to get, noted on disk: that outlives the process which was to put it there."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Final

from clients.oci.digest import Digest, InvalidReference
from dataplane.blobs.claim import Claim

logger = logging.getLogger(__name__)

_SUFFIX: Final = ".owed"


class Owed:
    """A claim on each blob that is owed, held by the process of the node which sees to it.

    Whoever has put the blob there ends the claim; whoever has not closes it, and it stays.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, digest: Digest) -> Claim | None:
        """Note that a blob is owed; None where another process sees to it, or the disk takes no note."""
        try:
            return self._claim(digest, create=True)
        except OSError as error:
            logger.warning("that the bucket is to get blob %s cannot be noted: %s", digest, error.strerror)
            return None

    def take(self, digest: Digest) -> Claim | None:
        """See to a blob that was left; None where another process does, or has done so. Raises OSError."""
        try:
            return self._claim(digest, create=False)
        except FileNotFoundError:
            return None

    def left(self) -> list[Digest]:
        """List what is owed, whoever sees to it. For threads; raises OSError."""
        found = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            # Others may leave files here, too.
            with suppress(InvalidReference):
                found.append(Digest.parse(path.name.removesuffix(_SUFFIX).replace("-", ":", 1)))
        return found

    def _claim(self, digest: Digest, *, create: bool) -> Claim | None:
        claim = Claim(self._folder / f"{digest.algorithm}-{digest.encoded}{_SUFFIX}", create=create)
        if claim.take() and claim.is_current():
            return claim
        claim.close()
        return None
