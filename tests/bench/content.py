"""Images on disk, laid out once for all: as static files, and as Debian's docker-registry stores them."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from clients.oci.digest import Digest
from tests.fakes.images import Image, make_image

REPOSITORY = "bench/app"
MiB = 1 << 20


class Site:
    """One repository in a directory.

    `root` is a tree of files whose paths are those of requests; `storage` is a root directory for
    docker-registry. Blobs are the same files in both, so that both are served from the same page cache.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "static"
        self.storage = directory / "storage"
        # What the response to a manifest's path says, for servers that cannot know.
        self.digests: dict[str, Digest] = {}
        # By tag.
        self.images: dict[str, Image] = {}
        self._repository = self.root / "v2" / REPOSITORY
        for folder in ("blobs", "manifests", "tags"):
            (self._repository / folder).mkdir(parents=True)

    def add(self, tag: str, layers: list[int], seed: int, *, blobs: bool = True) -> Image:
        """Makes an image with layers of so many bytes; without `blobs`, only manifest and config for now."""
        image = make_image(layers=layers, seed=seed)
        for name in (tag, str(image.digest)):
            (self._repository / "manifests" / name).write_bytes(image.manifest)
            self.digests[manifest_path(name)] = image.digest
        self.images[tag] = image
        tags = {"name": REPOSITORY, "tags": sorted(self.images)}
        (self._repository / "tags" / "list").write_text(json.dumps(tags))
        self._store_manifest(image, tag)
        self._publish(image, list(image.blobs) if blobs else list(image.blobs)[:1])
        return image

    @contextlib.contextmanager
    def published(self, tag: str) -> Iterator[None]:
        """Holds the layers of an image, which was added without, for as long as the block runs."""
        image = self.images[tag]
        layers = list(image.blobs)[1:]
        self._publish(image, layers)
        try:
            yield
        finally:
            for digest in layers:
                (self.root / blob_path(digest).lstrip("/")).unlink()
                self._stored(digest).unlink()

    def _publish(self, image: Image, digests: list[Digest]) -> None:
        for digest in digests:
            blob = image.blobs[digest]
            static = self.root / blob_path(digest).lstrip("/")
            if not static.exists():
                with static.open("wb") as file:
                    file.writelines(blob.read(0, blob.size))
                self._store(static, digest)

    def _store_manifest(self, image: Image, tag: str) -> None:
        self._store(self.root / manifest_path(str(image.digest)).lstrip("/"), image.digest)
        manifests = self._stored_repository / "_manifests"
        _link(manifests / "revisions" / image.digest.algorithm / image.digest.encoded, image.digest)
        _link(manifests / "tags" / tag / "current", image.digest)
        for digest in image.blobs:
            _link(self._stored_repository / "_layers" / digest.algorithm / digest.encoded, digest)

    def _store(self, file: Path, digest: Digest) -> None:
        stored = self._stored(digest)
        stored.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, stored)

    def _stored(self, digest: Digest) -> Path:
        folder = self.storage / "docker/registry/v2/blobs" / digest.algorithm
        return folder / digest.encoded[:2] / digest.encoded / "data"

    @property
    def _stored_repository(self) -> Path:
        return self.storage / "docker/registry/v2/repositories" / REPOSITORY


def manifest_path(reference: str) -> str:
    """The path of a request for a manifest."""
    return f"/v2/{REPOSITORY}/manifests/{reference}"


def blob_path(digest: Digest) -> str:
    """The path of a request for a blob."""
    return f"/v2/{REPOSITORY}/blobs/{digest}"


def _link(folder: Path, digest: Digest) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "link").write_text(str(digest))
