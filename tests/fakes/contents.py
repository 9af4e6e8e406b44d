"""What a fake registry holds: repositories of manifests, tags and blobs."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from clients.oci.media_types import OCI_INDEX
from tests.fakes.blobs import Blob
from tests.fakes.images import Image


@dataclass
class Repository:
    """Content by its name, as a request writes it."""

    manifests: dict[str, Image] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)

    def add(self, image: Image, tags: Iterable[str]) -> None:
        """Takes an image with all that it points at; moves tags that are there already."""
        for part in (*image.children, image):
            self.manifests[str(part.digest)] = part
            self.blobs.update({str(digest): blob for digest, blob in part.blobs.items()})
        self.tags.update(dict.fromkeys(tags, str(image.digest)))

    def manifest(self, reference: str) -> Image | None:
        return self.manifests.get(self.tags.get(reference, reference))

    def tag_page(self, last: str, limit: int | None) -> tuple[list[str], bool]:
        """Up to `limit` tags after `last`, and whether there are more."""
        tags = sorted(tag for tag in self.tags if tag > last)
        return (tags, False) if limit is None else (tags[:limit], len(tags) > limit > 0)

    def referrers(self, digest: str, artifact_type: str) -> bytes:
        """The index of manifests whose subject is `digest`."""
        listed: list[dict[str, Any]] = [
            image.descriptor()
            for image in self.manifests.values()
            if (json.loads(image.manifest).get("subject") or {}).get("digest") == digest
            and artifact_type in ("", image.artifact_type)
        ]
        return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()
