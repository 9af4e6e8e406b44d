"""Answers to `referrers` (distribution specification, "Listing Referrers")."""

import json
from typing import Final

from clients.oci.media_types import OCI_INDEX
from dataplane.http.message import Answer, Headers
from dataplane.http.target import Referrers

_EMPTY: Final = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()


def answer(target: Referrers) -> Answer:
    """Answer with an index of no manifests: no referrers are known."""
    headers: Headers = (("Content-Type", OCI_INDEX),)
    if target.artifact_type:
        headers = (*headers, ("OCI-Filters-Applied", "artifactType"))
    return Answer.whole(200, headers, _EMPTY)
