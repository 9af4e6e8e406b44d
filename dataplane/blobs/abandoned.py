"""Spools and claims that processes left behind which ended in mid-fetch, and that nobody has gone on with."""

from contextlib import suppress
from pathlib import Path

from dataplane.blobs.claim import SUFFIX, Claim
from dataplane.blobs.spool import SPOOL_SUFFIX


def remove_abandoned(folder: Path, now: float, after: float) -> None:
    """Remove spools and claims that no process has, and that have not been written for `after` seconds.

    Those from before a restart of the machine go at once. `now` is in seconds since the epoch. Raises
    OSError.
    """
    for name in {path.stem for suffix in (SUFFIX, SPOOL_SUFFIX) for path in folder.glob(f"*{suffix}")}:
        spool, path = folder / f"{name}{SPOOL_SUFFIX}", folder / f"{name}{SUFFIX}"
        written = [at for file in (spool, path) if (at := _written(file)) is not None]
        # What is as far ahead is from before the clock was set back.
        is_old = bool(written) and abs(now - max(written)) > after
        with suppress(FileNotFoundError), Claim(path, create=is_old) as claim:
            # Another fetch may have begun since it was opened.
            if claim.take() and claim.is_current() and (is_old or claim.spool() is None):
                spool.unlink(missing_ok=True)
                claim.end()


def _written(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        # A fill has ended since it was listed.
        return None
