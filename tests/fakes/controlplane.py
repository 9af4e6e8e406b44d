"""A control plane for nodes: NodeService over gRPC on a loopback socket, with scripted content and faults.

It serves what tests give it and keeps nothing; started again, it is at the same address.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from clients.control.token import TokenKind, new_token
from clients.oci.digest import Digest
from penstock.v1 import node_pb2, pull_pb2
from penstock.v1.node_pb2_grpc import NodeServiceServicer, add_NodeServiceServicer_to_server
from tests.fakes.aborts import Fault, abort
from tests.fakes.estate import Estate, FakeArtifact


class FakeControlPlane(Estate, NodeServiceServicer):
    """`async with FakeControlPlane() as plane`, then `plane.address` and `plane.token` are for the node."""

    def __init__(self) -> None:
        super().__init__()
        self.token = new_token(TokenKind.NODE)
        # Calls so far, by method; requests of GetUpstreamAccess that said `refused` count as `refused`.
        self.calls: Counter[str] = Counter()
        self.reports: list[node_pb2.ReportStatusRequest] = []
        self.uses: list[node_pb2.ReportUseRequest] = []
        # The id of the request that the last call was made for, by method.
        self.request_ids: dict[str, str] = {}
        # Pulls and checks by id, and how many were sent, repeated ones included.
        self.pulls: dict[str, pull_pb2.PullEvent] = {}
        self.recorded = 0
        self.faults: dict[str, Fault] = {}
        # Methods named here wait until their event is set.
        self.gates: dict[str, asyncio.Event] = {}
        self.heartbeat = 0.1
        self._port = 0
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen, at the same address as before."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_NodeServiceServicer_to_server(self, self._server)
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        await self._server.start()

    async def stop(self) -> None:
        """Hang up on everybody; what was given stays."""
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def WatchConfig(
        self, request: node_pb2.WatchConfigRequest, context: Any
    ) -> AsyncIterator[node_pb2.WatchConfigResponse]:
        await self._enter("WatchConfig", context)
        watcher: asyncio.Queue[node_pb2.WatchConfigResponse | None] = asyncio.Queue()
        self.watchers.add(watcher)
        try:
            yield node_pb2.WatchConfigResponse(snapshot=self.snapshot())
            while True:
                try:
                    async with asyncio.timeout(self.heartbeat):
                        message = await watcher.get()
                except TimeoutError:
                    message = node_pb2.WatchConfigResponse()
                    message.heartbeat.revision = self.revision
                if message is None:
                    return
                yield message
        finally:
            self.watchers.discard(watcher)

    async def ReportStatus(
        self, request: node_pb2.ReportStatusRequest, context: Any
    ) -> node_pb2.ReportStatusResponse:
        await self._enter("ReportStatus", context)
        self.reports.append(request)
        return node_pb2.ReportStatusResponse()

    async def ReportUse(self, request: node_pb2.ReportUseRequest, context: Any) -> node_pb2.ReportUseResponse:
        await self._enter("ReportUse", context)
        self.uses.append(request)
        return node_pb2.ReportUseResponse()

    async def ResolveReference(
        self, request: node_pb2.ResolveReferenceRequest, context: Any
    ) -> node_pb2.ResolveReferenceResponse:
        await self._enter("ResolveReference", context)
        artifact = await self._artifact(request.artifact_uid, context)
        if ":" in request.reference:
            digest = Digest.parse(request.reference)
        else:
            digest = artifact.tags.get(request.reference)
        manifest = artifact.manifests.get(digest)
        reached_by = artifact.reached_by(digest, request.scope)
        if manifest is None or (":" in request.reference and reached_by is None):
            await abort(context, Fault(grpc.StatusCode.NOT_FOUND, "MANIFEST_UNKNOWN"))
        return node_pb2.ResolveReferenceResponse(
            digest=str(digest),
            media_type=manifest.media_type,
            size=len(manifest.content),
            content=b"" if request.known_digest == str(digest) else manifest.content,
            content_revision=artifact.content_revision,
            max_age=artifact.max_age,
            reached_by=reached_by,
        )

    async def ResolveBlob(
        self, request: node_pb2.ResolveBlobRequest, context: Any
    ) -> node_pb2.ResolveBlobResponse:
        await self._enter("ResolveBlob", context)
        artifact = await self._artifact(request.artifact_uid, context)
        reached_by = artifact.reached_by(Digest.parse(request.digest), request.scope)
        for manifest in artifact.manifests.values():
            for blob in manifest.blobs:
                if str(blob.digest) == request.digest and reached_by is not None:
                    return node_pb2.ResolveBlobResponse(
                        digest=request.digest,
                        media_type=blob.media_type,
                        size=blob.size,
                        content_revision=artifact.content_revision,
                        reached_by=reached_by,
                    )
        await abort(context, Fault(grpc.StatusCode.NOT_FOUND, "BLOB_UNKNOWN"))
        raise AssertionError("abort raises")

    async def StreamTags(
        self, request: node_pb2.StreamTagsRequest, context: Any
    ) -> AsyncIterator[node_pb2.StreamTagsResponse]:
        await self._enter("StreamTags", context)
        artifact = await self._artifact(request.artifact_uid, context)
        tags = sorted(artifact.tags)
        for start in range(0, max(1, len(tags)), 1000):
            yield node_pb2.StreamTagsResponse(
                tags=tags[start : start + 1000], content_revision=artifact.content_revision
            )

    async def ListReferrers(
        self, request: node_pb2.ListReferrersRequest, context: Any
    ) -> node_pb2.ListReferrersResponse:
        await self._enter("ListReferrers", context)
        artifact = await self._artifact(request.artifact_uid, context)
        return node_pb2.ListReferrersResponse(
            referrers=[
                node_pb2.ListReferrersResponse.Referrer(
                    digest=str(manifest.digest),
                    media_type=manifest.media_type,
                    size=len(manifest.content),
                    artifact_type=manifest.artifact_type,
                    annotations=json.loads(manifest.content).get("annotations"),
                )
                for manifest in artifact.manifests.values()
                if manifest.subject is not None and str(manifest.subject.digest) == request.digest
            ],
            content_revision=artifact.content_revision,
        )

    async def RecordPulls(
        self, request: node_pb2.RecordPullsRequest, context: Any
    ) -> node_pb2.RecordPullsResponse:
        await self._enter("RecordPulls", context)
        assert 1 <= len(request.events) <= 1000
        self.recorded += len(request.events)
        for event in request.events:
            self.pulls.setdefault(event.id, event)
        return node_pb2.RecordPullsResponse()

    async def GetUpstreamAccess(
        self, request: node_pb2.GetUpstreamAccessRequest, context: Any
    ) -> node_pb2.GetUpstreamAccessResponse:
        await self._enter("GetUpstreamAccess", context)
        self.calls["refused"] += request.refused
        artifact = await self._artifact(request.artifact_uid, context)
        host, _, repository = artifact.upstream.partition("/")
        answer = node_pb2.GetUpstreamAccessResponse(
            base_url=f"http://{host}",
            repository=repository,
            authorization=artifact.authorization,
            allow_private_addresses=True,
            ca_certificates=artifact.ca_certificates,
        )
        if artifact.expire_time is not None:
            answer.expire_time.FromNanoseconds(int(artifact.expire_time * 1e9))
        return answer

    async def _enter(self, method: str, context: Any) -> None:
        self.calls[method] += 1
        metadata = dict(context.invocation_metadata())
        self.request_ids[method] = metadata.get("x-request-id", "")
        if metadata.get("authorization") != f"Bearer {self.token}":
            await abort(context, Fault(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"))
        if method in self.gates:
            await self.gates[method].wait()
        if method in self.faults:
            await abort(context, self.faults[method])

    async def _artifact(self, uid: str, context: Any) -> FakeArtifact:
        if uid not in self.artifacts:
            await abort(context, Fault(grpc.StatusCode.NOT_FOUND, "ARTIFACT_UNKNOWN"))
        return self.artifacts[uid]
