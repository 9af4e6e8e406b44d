"""Blobs on disk, as an OCI image layout that other tools can read (OCI image spec, image-layout.md)."""

import errno
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from clients.oci.digest import Digest, InvalidReference
from clients.process.exits import ConfigurationError
from clients.process.place import DISK_TROUBLE
from dataplane.blobs.held import in_turn, open_held, remove_unless_held
from dataplane.blobs.store import Entry, StoredBlob
from dataplane.blobs.threads import in_thread

_ALGORITHMS = ("sha256", "sha512")
_LAYOUT = {"imageLayoutVersion": "1.0.0"}
# A node keeps blobs for any number of images, whose manifests are held elsewhere.
_INDEX = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
# Recency must survive a restart without a write for every pull.
_USE_NOTED_EVERY = 3600.0
# Nanoseconds behind the millisecond that only the store gives a modification time.
_MARK = 271_000
_MILLISECOND = 1_000_000
_SECOND = 1_000_000_000


class FileStore:
    """The store under one directory: `oci-layout`, `index.json` and `blobs/<algorithm>/<encoded>`.

    The modification time of a blob's file is when it was last used, to the hour, with a mark in its
    nanoseconds: whoever else writes the file takes the mark away. (What the disk itself loses leaves it.)
    """

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._root = root
        self._blobs = root / "blobs"
        self._prefix = f"{self._blobs}{os.sep}"
        self._clock = clock
        # Not on file systems that keep no such times.
        self._marks = False

    async def prepare(self) -> None:
        """Create the layout where it is missing; see BlobStore."""
        try:
            await in_thread(None, self._prepare)
        except OSError as error:
            if error.errno in DISK_TROUBLE:
                raise
            raise ConfigurationError(
                f"The blob store {self._root} cannot be used: {error.strerror or error}; make it a directory "
                "that this process may write to, or set PENSTOCK_BLOB_STORE to another one."
            ) from error

    def open(self, digest: Digest) -> StoredBlob | None:
        """See BlobStore."""
        return self._open(digest, note=True)

    def peek(self, digest: Digest) -> StoredBlob | None:
        """See BlobStore."""
        return self._open(digest, note=False)

    def vouch(self, digest: Digest, changed: int) -> None:
        """See BlobStore; when it was used stays as it is."""
        with FileIO(self._path(digest), "rb") as file:
            if os.fstat(file.fileno()).st_mtime_ns == changed:
                _mark(file.fileno(), changed)

    async def commit(self, digest: Digest, spool: Path) -> int | None:
        """See BlobStore; the spool must be on the file system of the store."""
        return await in_thread(None, self._commit, spool, self._path(digest))

    async def remove(self, digest: Digest) -> bool:
        """See BlobStore."""
        return await in_thread(None, _remove, self._path(digest))

    async def evict(self, digest: Digest) -> bool:
        """See BlobStore."""
        return await in_thread(None, self._evict, self._path(digest))

    async def entries(self) -> list[Entry]:
        """See BlobStore; files with other names than a digest's are left alone."""
        return await in_thread(None, self._entries)

    def _open(self, digest: Digest, *, note: bool) -> StoredBlob | None:
        try:
            # A path of pathlib's would take as long as opening it.
            file = open_held(f"{self._prefix}{digest.algorithm}/{digest.encoded}")
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(file.fileno())
        except BaseException:
            file.close()
            raise
        stamp = status.st_mtime_ns
        if self._marks and stamp % _MILLISECOND != _MARK:
            return StoredBlob(file, status.st_size, stamp)
        now = self._clock()
        if note and not 0 <= now - stamp // _MILLISECOND / 1000 < _USE_NOTED_EVERY:
            # A disk that has become read-only still serves.
            with suppress(OSError):
                _mark(file.fileno(), int(now * _SECOND))
        return StoredBlob(file, status.st_size)

    def _commit(self, spool: Path, path: Path) -> int | None:
        _mark(spool, int(self._clock() * _SECOND))
        return _commit(spool, path)

    def _evict(self, path: Path) -> bool:
        if remove_unless_held(path):
            return True
        # Who keeps it open only for those who come next (`lately`) lets go of it when its time is another.
        # The mark of who wrote it stays; without one nobody keeps it, and its time is what is vouched for.
        with suppress(OSError):
            stamp = path.stat().st_mtime_ns - _MILLISECOND
            if not self._marks or stamp % _MILLISECOND == _MARK:
                os.utime(path, ns=(stamp, stamp))
        return False

    def _path(self, digest: Digest) -> Path:
        return self._blobs / digest.algorithm / digest.encoded

    def _prepare(self) -> None:
        for algorithm in _ALGORITHMS:
            folder = self._root / "blobs" / algorithm
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
                cause = errno.EROFS if read_only else errno.EACCES
                raise OSError(cause, os.strerror(cause), str(folder))
        for name, content in (("oci-layout", _LAYOUT), ("index.json", _INDEX)):
            path = self._root / name
            if not path.exists():
                fresh = path.with_suffix(f".{os.getpid()}.new")
                fresh.write_text(json.dumps(content))
                _commit(fresh, path)
        self._marks = _keeps_marks(self._root / "oci-layout")

    def _entries(self) -> list[Entry]:
        found = []
        for algorithm in _ALGORITHMS:
            with os.scandir(self._root / "blobs" / algorithm) as files:
                for file in files:
                    try:
                        digest = Digest.parse(f"{algorithm}:{file.name}")
                        status = file.stat(follow_symlinks=False)
                    except (InvalidReference, FileNotFoundError):
                        continue
                    found.append(Entry(digest, status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: entry.used)


def _mark(file: Path | int, nanoseconds: int) -> None:
    stamp = nanoseconds - nanoseconds % _MILLISECOND + _MARK
    os.utime(file, ns=(stamp, stamp))


def _keeps_marks(path: Path) -> bool:
    # A disk that is read-only by now has kept it before, or not.
    with suppress(OSError):
        _mark(path, time.time_ns())
    return path.stat().st_mtime_ns % _MILLISECOND == _MARK


def _commit(source: Path, target: Path) -> int | None:
    # Content first, then its name, then the folder that holds the name: a machine that stops in between
    # has the whole file under the name, or none.
    _sync(source)
    with in_turn(target.parent):
        replaced = target.stat().st_size if target.exists() else None
        source.rename(target)
    _sync(target.parent)
    return replaced


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
