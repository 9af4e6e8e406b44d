"""What nodes have of an image, as each of them says itself."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from yarl import URL

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError
from clients.oci.reference import parse_pulled
from clients.oci.request import Answer, Request, Timeouts
from clients.oci.retry import Retry
from clients.oci.strict_json import read_object
from clients.oci.transport import Transport
from penstock.v1.entitlement_pb2 import ExplainPullResponse

_TIMEOUTS: Final = Timeouts(connect=5, idle=5, total=5)
_LONGEST: Final = 1 << 20
_CHECK: Final = "cached where"


async def cached_where(
    nodes: Sequence[str], token: str, reference: str, verifying: ssl.SSLContext
) -> list[ExplainPullResponse.Step]:
    """Ask each node, as the owner of the token, what it has of a reference that is well-formed.

    Those by https are verified with this context. A node that does not answer within five seconds, or with
    more than a mebibyte, is a step that says so.
    """
    repository, tag_or_digest = parse_pulled(reference)
    async with Transport(
        allow_private=True, timeouts=_TIMEOUTS, retry=Retry(attempts=1), ssl_context=verifying
    ) as transport:

        async def ask(node: str) -> ExplainPullResponse.Step:
            host = URL(node).authority
            url = (URL(node) / "cached" / repository).with_query(reference=str(tag_or_digest))
            request = Request(host=host, url=url, authorization=f"Bearer {token}", max_redirects=0)
            try:
                finding = _finding(await transport.fetch(request, limit=_LONGEST), tag_or_digest)
            except UpstreamError as error:
                finding = f"It does not say: {error}"
            return ExplainPullResponse.Step(
                check=_CHECK, outcome=ExplainPullResponse.NOTED, finding=f"{host}: {finding}"
            )

        return list(await asyncio.gather(*map(ask, nodes)))


def _finding(answer: Answer, reference: str | Digest) -> str:
    if answer.status == 404:
        return (
            "It tells this token nothing: only members of the organization are told, and only of artifacts"
            " that it has heard of."
        )
    if answer.status != 200:
        return f"It does not say: it answered {answer.status}."
    try:
        return _told(read_object(answer.body), reference)
    except (ValueError, TypeError, KeyError):
        return "It does not say: what it answered is not what nodes of this version do."


def _told(document: dict[str, Any], reference: str | Digest) -> str:
    manifests = Counter(str(manifest["state"]) for manifest in document["manifests"])
    if not manifests:
        return f"It holds no manifest of {reference}: the control plane would be asked."
    held = manifests["held"] + manifests["stale"]
    blobs = Counter(str(blob["state"]) for blob in document["blobs"])
    size = sum(int(blob["size"]) for blob in document["blobs"] if blob["state"] == "stored")
    of_blobs = f"{blobs['stored']} stored ({size} bytes)"
    of_blobs += "".join(f", {blobs[state]} {state}" for state in ("fetching", "absent") if blobs[state])
    sentences = [f"manifests: {held} of {manifests.total()} held; blobs: {of_blobs}."]
    if document["manifests"][0]["state"] == "stale":
        sentences.append("The manifest is stale: the control plane is asked before it is served.")
    if document["bucket"] and blobs["absent"]:
        sentences.append("What is absent on its disk may be in its bucket, which is not asked.")
    if document["cut"]:
        sentences.append("The image has more parts than are told.")
    return " ".join(sentences)
