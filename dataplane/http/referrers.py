"""Answers to `referrers` (distribution specification, "Listing Referrers")."""

import json
from collections.abc import Iterable
from typing import Any

from clients.oci.media_types import OCI_INDEX
from dataplane.http.message import Answer, Headers
from dataplane.http.target import Referrers
from dataplane.resolve.referrers import Referrer


def answer(target: Referrers, referrers: Iterable[Referrer]) -> Answer:
    """Answer with an index of the referrers, of one type where that was asked for."""
    headers: Headers = (("Content-Type", OCI_INDEX),)
    if target.artifact_type:
        headers = (*headers, ("OCI-Filters-Applied", "artifactType"))
    listed = [
        _descriptor(referrer)
        for referrer in referrers
        if target.artifact_type in ("", referrer.artifact_type)
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    return Answer.whole(200, headers, json.dumps(document).encode())


def _descriptor(referrer: Referrer) -> dict[str, Any]:
    descriptor: dict[str, Any] = {
        "mediaType": referrer.media_type,
        "digest": referrer.digest,
        "size": referrer.size,
    }
    if referrer.artifact_type:
        descriptor["artifactType"] = referrer.artifact_type
    if referrer.annotations:
        descriptor["annotations"] = referrer.annotations
    return descriptor
