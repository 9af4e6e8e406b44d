"""Images that are built for tests are what real clients take for images."""

import gzip
import json
from pathlib import Path

from clients.oci.digest import Digest
from tests.fakes.blobs import content_of
from tests.fakes.images import make_image, make_index, write_layout


def test_the_same_call_makes_the_same_image() -> None:
    """And another seed another one, with the same layers."""
    assert make_image(seed=1) == make_image(seed=1)
    assert make_image(seed=1).digest != make_image(seed=2).digest
    assert make_image(seed=1).layers == make_image(seed=2).layers


def test_the_config_names_the_unpacked_layers() -> None:
    """Docker checks diff_ids when it loads an image, and reads the platform there."""
    image = make_image([b"small", 4096], ("linux", "arm64", "v8"))
    config, small, large = (content_of(blob) for blob in image.blobs.values())
    described = json.loads(config)
    unpacked = [str(Digest.of(gzip.decompress(small))), str(Digest.of(large))]
    assert described["rootfs"]["diff_ids"] == unpacked
    assert (described["os"], described["architecture"], described["variant"]) == ("linux", "arm64", "v8")


def test_a_layout_holds_everything_by_digest(tmp_path: Path) -> None:
    """As the image layout specification has it, so that skopeo can push it."""
    image = make_index([make_image(), make_image(platform=("linux", "arm64"))])
    write_layout(image, tmp_path, "1.0")
    assert json.loads((tmp_path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((tmp_path / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == str(image.digest)
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "1.0"}
    files = list((tmp_path / "blobs/sha256").iterdir())
    # The index, two manifests, two configs, and two layers that both images share.
    assert len(files) == 7
    assert all(Digest.of(file.read_bytes()).encoded == file.name for file in files)
