"""Answers ordinary requests for what is warm, from bytes to bytes, in front of any parser.

It decides nothing of its own: who asks, whether they may, what a reference stands for and what the answer
is, is said by the same functions that Registry calls, at every request. Whatever has another answer than
200, or would have to wait, is left to Registry.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from clients.oci.digest import Digest
from clients.process.proxies import Proxies
from clients.process.request_id import RequestIds
from dataplane.access.authenticate import admit
from dataplane.access.authorize import permit
from dataplane.access.uses import Uses
from dataplane.blobs.reader import BlobReader
from dataplane.config.state import ConfigState
from dataplane.events.recorder import Ended, Recorder
from dataplane.http import blobs, manifests
from dataplane.http.message import Answer, FileAnswer, FilePart, Request
from dataplane.http.metrics import Metrics
from dataplane.http.ordinary import Remembered, asked, fields, recurs
from dataplane.http.prepared import PreparedHead
from dataplane.http.registry import complete
from dataplane.http.target import Manifest
from dataplane.http.transfers import Free, Transfers
from dataplane.resolve.manifest import ResolvedManifest
from dataplane.resolve.manifests import Manifests
from dataplane.resolve.members import Members
from dataplane.resolve.memory import Memory
from dataplane.resolve.reach import Reach

_ENTRY_BYTES: Final = 512


class QuickRegistry:
    """A Quick (see `service`); `open_blob` opens what is in a local file without waiting, or gives None.

    `concerns` tells whether a blob of so many bytes may be redirected for a client at an address, which
    is left to Registry; None for none. `max_bytes` bounds what is kept of answers: their heads, since
    manifests are in memory anyway.
    """

    def __init__(
        self,
        state: ConfigState,
        uses: Uses,
        manifests: Manifests,
        members: Members,
        reach: Reach,
        open_blob: Callable[[Digest, int, str], BlobReader | None],
        transfers: Transfers,
        metrics: Metrics,
        concerns: Callable[[int, str], bool] | None = None,
        recorder: Recorder | None = None,
        ids: RequestIds | None = None,
        proxies: Proxies | None = None,
        max_bytes: int = 4 << 20,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._uses = uses
        self._manifests = manifests
        self._members = members
        self._reach = reach
        self._open_blob = open_blob
        self._transfers = transfers
        self._metrics = metrics
        self._concerns = concerns
        self._recorder = recorder
        self._ids = ids or RequestIds()
        self._proxies = proxies or Proxies()
        self._clock = clock
        self._asked = Remembered(asked)
        self._fields = Remembered(fields, recurs=recurs)
        self._heads: Memory[tuple[str, str | int], PreparedHead] = Memory(max_bytes)

    def __call__(self, line: bytes, block: bytes, address: str) -> bytes | FileAnswer | None:
        """Answer a request, or leave it alone."""
        asked = self._asked[line]
        if asked is None:
            return None
        fields = self._fields[block]
        configuration = self._state.configuration
        if fields is None or configuration is None:
            return None
        if fields.forwarded:
            address = self._proxies.client(address, fields.forwarded)
        now = self._clock()
        principal = admit(fields.token, configuration.principals, now)
        if principal is None:
            return None
        self._uses.used(principal.token_uid, address, now)
        target = asked.target
        permitted = permit(principal, target.repository, configuration, now)
        if permitted is None:
            return None
        artifact, rules = permitted
        if rules is not None and not self._reach.vouched(artifact, asked.reference, rules):
            return None
        if isinstance(target, Manifest):
            manifest = self._manifests.warm(artifact, target.reference)
            if manifest is None:
                return None
            recorder = self._recorder
            if recorder is not None:
                # Equal bytes from one address are equal requests.
                key = (line, block, address)
                if not recorder.again(key, principal, manifest, now):
                    sent = asked.method == "GET"
                    who = (principal, artifact, address, fields.agent)
                    recorder.manifest(key, *who, target.reference, manifest, now, sent=sent)
            return self._manifest(manifest, asked.method, fields.id or self._ids.new())
        size = self._members.warm(artifact, target.digest)
        if not size:
            return None
        if asked.method == "HEAD":
            self._metrics.count("blob", "HEAD", 200)
            return self._blob_head(target.digest, size).now(fields.id or self._ids.new())
        if self._concerns is not None and self._concerns(size, address):
            return None
        free = self._transfers.try_begin(principal.token_uid, address)
        if free is None:
            return None
        reader = self._open_blob(target.digest, size, artifact.organization_uid)
        if reader is None:
            free()
            return None
        self._metrics.count("blob", "GET", 200)
        ended = None
        if self._recorder is not None:
            ended = self._recorder.blob(
                principal, artifact, address, fields.agent, target.digest, size, now, warm=True
            )
        return FileAnswer(
            self._blob_head(target.digest, size).now(fields.id or self._ids.new()),
            FilePart(reader.fileno(), 0, size),
            reader.read,
            partial(self._done, reader, free, ended),
            free.pace,
        )

    def _manifest(self, manifest: ResolvedManifest, method: str, request_id: bytes) -> bytes:
        key = (manifest.digest.encoded, manifest.media_type)
        head = self._heads.get(key)
        if head is None:
            head = self._keep(key, manifests.answer(Request("GET", ""), manifest))
        self._metrics.count("manifest", method, 200)
        if method == "HEAD":
            return head.now(request_id)
        self._metrics.sent(len(manifest.content))
        return head.now(request_id, manifest.content)

    def _blob_head(self, digest: Digest, size: int) -> PreparedHead:
        head = self._heads.get((digest.encoded, size))
        if head is None:
            head = self._keep((digest.encoded, size), Answer(200, blobs.full_headers(digest), length=size))
        return head

    def _keep(self, key: tuple[str, str | int], answer: Answer) -> PreparedHead:
        head = PreparedHead.of(complete(answer))
        self._heads.put(key, head, head.size + _ENTRY_BYTES)
        return head

    def _done(self, reader: BlobReader, free: Free, ended: Ended | None, count: int) -> None:
        reader.close()
        free()
        if ended is not None:
            ended(count)
        self._metrics.sent(count)
