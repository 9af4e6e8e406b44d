"""What a node has of an image, as members of its organization are told on the node's own port.

`GET /cached/<repository>?reference=<tag or digest>`, in JSON. It is looked up on the node and nowhere else:
to ask changes nothing, and waits for nobody.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from clients.oci.digest import Digest, InvalidReference
from clients.oci.reference import check_repository, parse_reference
from dataplane.access.authorize import permit
from dataplane.access.sign_in import SignInRefused, SignIns
from dataplane.blobs.kept import Kept
from dataplane.config.configuration import ArtifactEntry
from dataplane.config.state import ConfigState
from dataplane.http.message import Request
from dataplane.http.node_port import CACHED
from dataplane.resolve.manifests import Held, Manifests

MOST_MANIFESTS: Final = 100
MOST_BLOBS: Final = 1000
# Blobs that are looked up before others have a turn.
_TURN: Final = 50
# No name, tag or digest comes near it.
_LONGEST: Final = 2048


@dataclass(slots=True)
class _Found:
    """What was found so far."""

    manifests: list[dict[str, Any]] = field(default_factory=list)
    blobs: dict[Digest, dict[str, Any]] = field(default_factory=dict)
    cut: bool = False


class Cached:
    """Answers what of an image is on this node.

    `kept` says it of a blob by its digest and size, `bucket` whether there is one behind the disk, which is
    not asked. `clock` gives seconds since the epoch, for the expiry of tokens.
    """

    def __init__(
        self,
        state: ConfigState,
        sign_ins: SignIns,
        manifests: Manifests,
        kept: Callable[[Digest, int], Kept],
        *,
        bucket: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._sign_ins = sign_ins
        self._manifests = manifests
        self._kept = kept
        self._bucket = bucket
        self._clock = clock

    async def answer(self, request: Request) -> bytes | None:
        """Give the body of the answer; None alike for what the caller may not have, and what is not there.

        Customers are told nothing: what others pulled is not theirs to know.
        """
        artifact_and_reference = self._permitted(request)
        if artifact_and_reference is None:
            return None
        found = _Found()
        await self._collect(*artifact_and_reference, found)
        document = {
            "manifests": found.manifests,
            "blobs": [{"digest": str(digest), **blob} for digest, blob in found.blobs.items()],
            "cut": found.cut,
            "bucket": self._bucket,
        }
        return json.dumps(document).encode()

    def _permitted(self, request: Request) -> tuple[ArtifactEntry, str | Digest] | None:
        configuration = self._state.configuration
        target = _parse(request.target)
        if configuration is None or target is None:
            return None
        repository, reference = target
        now = self._clock()
        try:
            principal = self._sign_ins.admit(request.authorization, request.address, configuration, now)
        except SignInRefused:
            return None
        permitted = None if principal.customer_uid else permit(principal, repository, configuration, now)
        return None if permitted is None else (permitted.artifact, reference)

    async def _collect(self, artifact: ArtifactEntry, reference: str | Digest, found: _Found) -> None:
        root = await self._manifests.held(artifact, reference)
        if root is None:
            return
        waiting = deque([(root.manifest.digest, len(root.manifest.content))])
        seen = {root.manifest.digest}
        while waiting:
            if len(found.manifests) == MOST_MANIFESTS:
                found.cut = True
                return
            digest, size = waiting.popleft()
            # What a tag was last known to stand for may have aged; what a digest names has not.
            first = not found.manifests
            held = root if first else await self._manifests.held(artifact, digest)
            found.manifests.append(_described(digest, size, held))
            if held is None:
                continue
            manifest = held.manifest.parsed()
            if manifest is None:
                continue
            for child in manifest.manifests:
                if child.digest not in seen:
                    seen.add(child.digest)
                    waiting.append((child.digest, child.size))
            await self._look_up([(blob.digest, blob.size) for blob in manifest.blobs], found)

    async def _look_up(self, blobs: list[tuple[Digest, int]], found: _Found) -> None:
        for digest, size in blobs:
            if digest in found.blobs:
                continue
            if len(found.blobs) == MOST_BLOBS:
                found.cut = True
                return
            found.blobs[digest] = {"size": size, "state": self._kept(digest, size).value}
            if not len(found.blobs) % _TURN:
                await asyncio.sleep(0)


def _described(digest: Digest, size: int, held: Held | None) -> dict[str, Any]:
    state = "absent" if held is None else "stale" if held.stale else "held"
    return {"digest": str(digest), "size": size, "state": state}


def _parse(text: str) -> tuple[str, str | Digest] | None:
    path, _, query = text.partition("?")
    if len(text) > _LONGEST or not path.startswith(CACHED):
        return None
    fields = dict(parse_qsl(query))
    try:
        return check_repository(unquote(path.removeprefix(CACHED))), parse_reference(fields["reference"])
    except (InvalidReference, KeyError):
        return None
