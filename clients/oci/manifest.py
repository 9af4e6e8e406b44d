"""Manifests and indexes, byte for byte, with what Penstock has to know of them.

OCI image specification 1.0 and 1.1 (manifest.md, image-index.md) and Docker's image manifest, version 2,
schema 2. Artifacts of foreign types (Helm charts, signatures, SBOMs) are image manifests as well.
"""

from dataclasses import dataclass
from typing import Any, Self

from clients.oci.descriptor import Descriptor, InvalidDescriptor, read_media_type
from clients.oci.digest import Digest, shown
from clients.oci.media_types import IMAGES, INDEXES, MANIFESTS, SCHEMA_1
from clients.oci.strict_json import InvalidJson, check_spelling, read_object

# In bytes; what the specification asks registries to accept, and what clients accept.
MAX_SIZE = 4 * 1024 * 1024
_FIELDS = frozenset(
    {"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"}
    | {"fsLayers", "history", "signatures", "blobs"}
)
# What makes a document something else than an image manifest, or than an index.
_NOT_IN_IMAGES = ("manifests", "fsLayers", "blobs")
_NOT_IN_INDEXES = ("config", "layers", "fsLayers", "blobs")


class InvalidManifest(ValueError):
    """Content that is not a manifest of a type that Penstock serves; `str()` is one sentence."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"The manifest {problem}.")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One manifest or index; made by `parse`, so that its parts agree with its content.

    `artifact_type` is the document's own, else the media type of an image manifest's config; empty for an
    index that names none. `manifests` are the children of an index; `blobs` are an image manifest's
    config and then its layers, or what an index names beside manifests: BuildKit's caches are indexes of
    layers. Both are as listed: a digest may recur, always with the same size.
    """

    content: bytes
    media_type: str
    digest: Digest
    artifact_type: str
    subject: Descriptor | None
    manifests: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]

    @classmethod
    def parse(cls, content: bytes, media_type: str, *, digest: Digest | None = None) -> Self:
        """Reads a manifest that came with this Content-Type; raises InvalidManifest.

        `digest` is what it was asked for by, which it must match; without it, its sha256 is taken.
        """
        media_type = media_type.partition(";")[0].strip()
        _check_size(content)
        if digest is not None and not digest.matches(content):
            raise InvalidManifest(f"is not what its digest {digest} names")
        _check_media_type(media_type)
        try:
            document = read_object(content)
            check_spelling(document, _FIELDS)
        except InvalidJson as error:
            raise InvalidManifest(str(error)) from error
        _check_kind(document, media_type)
        subject = None if document.get("subject") is None else _descriptor(document["subject"], "subject")
        manifests: tuple[Descriptor, ...] = ()
        blobs: tuple[Descriptor, ...] = ()
        artifact_type = _optional_media_type(document, "artifactType")
        if media_type in INDEXES:
            children = _descriptors(document, "manifests")
            manifests = tuple(child for child in children if child.media_type in MANIFESTS)
            blobs = tuple(child for child in children if child.media_type not in MANIFESTS)
        else:
            blobs = (_descriptor(document.get("config"), "config"), *_descriptors(document, "layers"))
            artifact_type = artifact_type or blobs[0].media_type
        _check_sizes(manifests + blobs)
        return cls(
            content=content,
            media_type=media_type,
            digest=digest or Digest.of(content),
            artifact_type=artifact_type,
            subject=subject,
            manifests=manifests,
            blobs=blobs,
        )


def _check_size(content: bytes) -> None:
    if len(content) > MAX_SIZE:
        raise InvalidManifest(f"is larger than {MAX_SIZE // 1024 // 1024} MiB")


def _check_media_type(media_type: str) -> None:
    if media_type in SCHEMA_1:
        raise InvalidManifest(
            "is of Docker's schema 1, which no longer has a place in registries; "
            "push the image again with a current client"
        )
    if media_type not in INDEXES | IMAGES:
        raise InvalidManifest(f"has the media type {shown(media_type)}, which is not one of a manifest")


def _check_kind(document: dict[str, Any], media_type: str) -> None:
    if document.get("schemaVersion") != 2 or isinstance(document["schemaVersion"], (bool, float)):
        raise InvalidManifest("does not have schemaVersion 2")
    own = _optional_media_type(document, "mediaType")
    if own and own != media_type:
        raise InvalidManifest(f"says that it is {own}, but was sent as {media_type}")
    alien = _NOT_IN_INDEXES if media_type in INDEXES else _NOT_IN_IMAGES
    for name in alien:
        if name in document:
            raise InvalidManifest(
                f"was sent as {media_type}, but has {name}, so that it could be read as two types"
            )


def _optional_media_type(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if value is None or value == "":
        return ""
    try:
        return read_media_type(value)
    except InvalidDescriptor as error:
        raise InvalidManifest(f"has {name} that {error}") from error


def _descriptors(document: dict[str, Any], name: str) -> tuple[Descriptor, ...]:
    if name not in document:
        raise InvalidManifest(f"has no {name}")
    # Go writes an empty list as null.
    listed = document[name] if document[name] is not None else []
    if not isinstance(listed, list):
        raise InvalidManifest(f"has {name} that are not a list")
    return tuple(_descriptor(value, f"{name}[{index}]") for index, value in enumerate(listed))


def _descriptor(value: object, where: str) -> Descriptor:
    try:
        return Descriptor.read(value)
    except InvalidDescriptor as error:
        raise InvalidManifest(f"has a {where} that {error}") from error


def _check_sizes(descriptors: tuple[Descriptor, ...]) -> None:
    sizes: dict[Digest, int] = {}
    for descriptor in descriptors:
        if sizes.setdefault(descriptor.digest, descriptor.size) != descriptor.size:
            raise InvalidManifest(f"gives {descriptor.digest} two sizes")
