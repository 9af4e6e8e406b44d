"""Resolved manifests and blobs on disk, by artifact and reference."""

import asyncio
import os

from clients.oci.digest import Digest
from dataplane.resolve.blob import ResolvedBlob
from dataplane.resolve.disk import Disk
from dataplane.resolve.manifest import ResolvedManifest


class Shelf:
    """What `Manifests` and `Members` keep beyond the process.

    Its files are `<artifact uid>/manifests/<reference>` and `<artifact uid>/blobs/<digest>`. A tag or digest
    that passed the specification's grammar is a safe name of a file.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    async def get(self, artifact_uid: str, reference: str | Digest) -> ResolvedManifest | None:
        """Read what is kept, stale or not."""
        return await asyncio.to_thread(self._read, _name(artifact_uid, reference))

    async def put(self, artifact_uid: str, references: set[str | Digest], manifest: ResolvedManifest) -> None:
        """Keep a manifest under each of the references."""
        encoded = manifest.encode()
        for reference in references:
            await asyncio.to_thread(self._disk.write, _name(artifact_uid, reference), encoded)

    async def remove(self, artifact_uid: str, reference: str | Digest) -> None:
        """Forget what a reference stood for."""
        await asyncio.to_thread(self._disk.remove, _name(artifact_uid, reference))

    async def digests(self, artifact_uid: str) -> list[Digest]:
        """List the digests that are kept for an artifact."""
        names = await asyncio.to_thread(self._disk.names, _folder(artifact_uid))
        return [Digest.parse(reference) for name in names if ":" in (reference := name.rpartition(os.sep)[2])]

    async def tags(self, artifact_uid: str) -> list[str]:
        """List the tags that are kept for an artifact."""
        names = await asyncio.to_thread(self._disk.names, _folder(artifact_uid))
        return [reference for name in names if ":" not in (reference := name.rpartition(os.sep)[2])]

    async def blob(self, artifact_uid: str, digest: Digest) -> ResolvedBlob | None:
        """Read what is kept of a blob, stale or not."""
        encoded = await asyncio.to_thread(self._disk.read, _blob(artifact_uid, digest))
        return None if encoded is None else ResolvedBlob.decode(encoded)

    async def put_blob(self, artifact_uid: str, digest: Digest, blob: ResolvedBlob) -> None:
        """Keep what is known of a blob."""
        await asyncio.to_thread(self._disk.write, _blob(artifact_uid, digest), blob.encode())

    async def remove_blob(self, artifact_uid: str, digest: Digest) -> None:
        """Forget what was known of a blob."""
        await asyncio.to_thread(self._disk.remove, _blob(artifact_uid, digest))

    def _read(self, name: str) -> ResolvedManifest | None:
        encoded = self._disk.read(name)
        return None if encoded is None else ResolvedManifest.decode(encoded)


def _folder(artifact_uid: str) -> str:
    return f"{artifact_uid}{os.sep}manifests"


def _blob(artifact_uid: str, digest: Digest) -> str:
    return f"{artifact_uid}{os.sep}blobs{os.sep}{digest}"


def _name(artifact_uid: str, reference: str | Digest) -> str:
    return f"{_folder(artifact_uid)}{os.sep}{reference}"
