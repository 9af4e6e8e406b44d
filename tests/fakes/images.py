"""Images, indexes, charts and artifacts, built in memory, that real clients can pull and load.

Everything follows from its arguments: the same call gives the same digests.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.oci import media_types
from clients.oci.digest import Digest
from tests.fakes.blobs import Blob, BytesBlob, content_of, tar_of, tar_of_size

HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
BUILDKIT_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
DEFAULT_LAYERS = (b"hello from the bottom layer\n", b"and from the one above\n")


@dataclass(frozen=True)
class Image:
    """A manifest (or index) and all that it points at."""

    manifest: bytes
    media_type: str
    # Config and layers, by digest, in the order of the manifest; empty for an index.
    blobs: Mapping[Digest, Blob] = field(default_factory=dict)
    # Manifests that an index lists.
    children: tuple["Image", ...] = ()
    # As in a descriptor of this manifest in an index.
    platform: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str = ""

    @property
    def digest(self) -> Digest:
        return Digest.of(self.manifest)

    @property
    def layers(self) -> list[Blob]:
        """The blobs without the config."""
        return list(self.blobs.values())[1:]

    def descriptor(self) -> dict[str, Any]:
        """What an index, or a `subject`, says of this manifest."""
        described: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": len(self.manifest),
        }
        if self.platform:
            described["platform"] = dict(self.platform)
        if self.artifact_type:
            described["artifactType"] = self.artifact_type
        return described


def make_image(
    layers: Sequence[bytes | int | Blob] = DEFAULT_LAYERS,
    platform: tuple[str, ...] = ("linux", "amd64"),
    seed: int = 0,
    *,
    docker: bool = False,
    subject: Image | None = None,
) -> Image:
    """Makes an image of `(os, architecture[, variant])` with a layer for each of `layers`.

    Bytes become a gzip'ed tar with one file, whose name follows from the layer's place; a number becomes an
    uncompressed tar of that many bytes with one generated file; a Blob is taken as it is. `seed` tells images
    with equal layers apart (it goes into the config) and drives what is generated. `docker` makes the
    manifest a Docker schema 2 one.
    """
    packed = [_layer(layer, index, seed) for index, layer in enumerate(layers)]
    where = dict(zip(("os", "architecture", "variant"), platform, strict=False))
    config = {
        **where,
        "created": "1970-01-01T00:00:00Z",
        "config": {"Env": [f"SEED={seed}"], "Cmd": ["/layer-0"]},
        "rootfs": {"type": "layers", "diff_ids": [str(diff_id) for _, _, diff_id in packed]},
        "history": [
            {"created": "1970-01-01T00:00:00Z", "created_by": f"layer {i}"} for i in range(len(packed))
        ],
    }
    return _image(
        manifest_type=media_types.DOCKER_MANIFEST if docker else media_types.OCI_MANIFEST,
        config=(media_types.DOCKER_CONFIG if docker else media_types.OCI_CONFIG, BytesBlob(_json(config))),
        layers=[(_docker_layer(kind) if docker else kind, blob) for kind, blob, _ in packed],
        platform=where,
        subject=subject,
    )


def make_index(images: Sequence[Image], *, docker: bool = False) -> Image:
    """Makes an index of images; each must have a platform if clients shall choose among them."""
    media_type = media_types.DOCKER_LIST if docker else media_types.OCI_INDEX
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [image.descriptor() for image in images],
    }
    return Image(_json(document), media_type, children=tuple(images))


def make_cache(layers: Sequence[bytes] = DEFAULT_LAYERS) -> Image:
    """Makes a cache as BuildKit exports them: an index of layers and a config, without a manifest."""
    image = make_image(layers)
    config, *blobs = image.blobs.values()
    types = [media_types.OCI_LAYER_GZIP] * len(blobs) + [BUILDKIT_CONFIG]
    listed = [
        {"mediaType": media_type, "digest": str(blob.digest), "size": blob.size}
        for media_type, blob in zip(types, [*blobs, config], strict=True)
    ]
    document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": listed}
    return Image(_json(document), media_types.OCI_INDEX, image.blobs)


def make_chart(name: str = "water", version: str = "1.2.3") -> Image:
    """Makes a Helm chart as `helm push` stores it."""
    metadata = {"apiVersion": "v2", "name": name, "version": version}
    files = tar_of(
        [
            (f"{name}/Chart.yaml", BytesBlob(_json(metadata))),
            (f"{name}/values.yaml", BytesBlob(b"replicas: 1\n")),
        ]
    )
    return _image(
        config=(HELM_CONFIG, BytesBlob(_json(metadata))),
        layers=[(HELM_CHART, BytesBlob(gzip.compress(content_of(files), mtime=0)))],
    )


def make_artifact(
    artifact_type: str = "application/vnd.example.sbom.v1",
    payload: bytes = b'{"packages": []}',
    *,
    subject: Image | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Makes an artifact of a foreign type (OCI 1.1: empty config, `artifactType`), about `subject`."""
    return _image(
        config=(media_types.OCI_EMPTY, BytesBlob(b"{}")),
        layers=[(artifact_type, BytesBlob(payload))],
        artifact_type=artifact_type,
        subject=subject,
        annotations=annotations,
    )


def write_layout(image: Image, path: Path, tag: str) -> None:
    """Writes an OCI image layout with one tagged manifest, for `skopeo copy oci:<path>:<tag>`."""
    folder = path / "blobs" / "sha256"
    folder.mkdir(parents=True, exist_ok=True)
    (path / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    tagged = {**image.descriptor(), "annotations": {"org.opencontainers.image.ref.name": tag}}
    (path / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [tagged]}))
    for part in (image, *image.children):
        (folder / part.digest.encoded).write_bytes(part.manifest)
        for digest, blob in part.blobs.items():
            with (folder / digest.encoded).open("wb") as file:
                file.writelines(blob.read(0, blob.size))


def _layer(layer: bytes | int | Blob, index: int, seed: int) -> tuple[str, Blob, Digest]:
    # Media type, blob, and digest of what it holds unpacked.
    if isinstance(layer, bytes):
        unpacked = content_of(tar_of([(f"layer-{index}", BytesBlob(layer))]))
        return media_types.OCI_LAYER_GZIP, BytesBlob(gzip.compress(unpacked, mtime=0)), Digest.of(unpacked)
    blob = tar_of_size(seed * 1000 + index, layer) if isinstance(layer, int) else layer
    return media_types.OCI_LAYER_TAR, blob, blob.digest


def _docker_layer(media_type: str) -> str:
    # Docker's clients look at the content for its compression, and know one type only.
    return media_types.DOCKER_LAYER_GZIP if media_type.startswith("application/vnd.oci") else media_type


def _image(
    *,
    manifest_type: str = media_types.OCI_MANIFEST,
    config: tuple[str, Blob],
    layers: Sequence[tuple[str, Blob]],
    platform: Mapping[str, str] | None = None,
    artifact_type: str = "",
    subject: Image | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": _descriptor(*config),
        "layers": [_descriptor(media_type, blob) for media_type, blob in layers],
    }
    if artifact_type:
        document["artifactType"] = artifact_type
    if subject is not None:
        document["subject"] = subject.descriptor()
    if annotations:
        document["annotations"] = dict(annotations)
    blobs = {blob.digest: blob for _, blob in (config, *layers)}
    return Image(_json(document), manifest_type, blobs, platform=platform or {}, artifact_type=artifact_type)


def _descriptor(media_type: str, blob: Blob) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(blob.digest), "size": blob.size}


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
