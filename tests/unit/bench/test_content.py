"""A site: one set of files for static servers and for docker-registry."""

import hashlib
from pathlib import Path

import pytest

from tests.bench.content import Site, blob_path


def test_blobs_are_one_file_for_both_and_match_their_digests(tmp_path: Path) -> None:
    """Different files would mean twice the page cache, and figures that do not compare."""
    site = Site(tmp_path)
    image = site.add("one", [4096], seed=1)
    for digest in image.blobs:
        static = site.root / blob_path(digest).lstrip("/")
        assert hashlib.sha256(static.read_bytes()).hexdigest() == digest.encoded
        (stored,) = site.storage.glob(f"**/blobs/sha256/*/{digest.encoded}/data")
        assert stored.samefile(static)


def test_layers_can_come_and_go(tmp_path: Path) -> None:
    """A cold blob exists only while it is pulled; its manifest and config stay."""
    site = Site(tmp_path)
    image = site.add("one", [4096], seed=1, blobs=False)
    config, layer = (site.root / blob_path(digest).lstrip("/") for digest in image.blobs)
    assert config.exists()
    assert not layer.exists()
    with site.published("one"):
        assert layer.stat().st_size == 4096
    assert not layer.exists()
    assert config.exists()


@pytest.mark.parametrize("seed", [2, 3])
def test_images_differ_by_their_seeds(tmp_path: Path, seed: int) -> None:
    """Otherwise a second cold blob would be warm."""
    site = Site(tmp_path)
    assert site.add("one", [4096], 1).layers[0].digest != site.add("two", [4096], seed).layers[0].digest
