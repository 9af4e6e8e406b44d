"""A control plane for nodes: NodeService over gRPC on a loopback socket, with scripted content and faults.

It serves what tests give it and keeps nothing; started again, it is at the same address.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from clients.control.token import TokenKind, new_token, sha256
from clients.oci.digest import Digest
from clients.oci.manifest import Manifest
from clients.oci.tag_rule import TagRule
from penstock.v1 import config_pb2, entitlement_pb2, node_pb2, pull_pb2
from penstock.v1.node_pb2_grpc import NodeServiceServicer, add_NodeServiceServicer_to_server
from penstock.v1.user_pb2 import Role
from tests.fakes.images import Image


@dataclass(frozen=True)
class Fault:
    """What a method answers instead; without a reason, as a broken transport would."""

    code: grpc.StatusCode
    reason: str = ""
    sentence: str = "scripted"
    retry_after: float | None = None


@dataclass
class FakeArtifact:
    """What the fake knows of one artifact."""

    uid: str
    organization_uid: str
    repository: str
    upstream: str
    content_revision: int = 1
    tags: dict[str, Digest] = field(default_factory=dict)
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    # What GetUpstreamAccess gives, besides where the upstream is.
    authorization: str = ""
    expire_time: float | None = None
    ca_certificates: str = ""
    # Fields of its CachePolicy.
    cache: dict[str, list[str]] = field(default_factory=dict)
    # What ResolveReference says of tags.
    max_age: duration_pb2.Duration | None = None

    def config(self) -> config_pb2.ArtifactConfig:
        return config_pb2.ArtifactConfig(
            uid=self.uid,
            organization_uid=self.organization_uid,
            repository=self.repository,
            content_revision=self.content_revision,
            **self.cache,
        )

    def reached_by(self, digest: Digest, scope: node_pb2.TagScope) -> str | None:
        """A tag of the scope that leads to a digest, empty where there is no scope; None for none."""
        if not scope.rules:
            return ""
        rules = [
            TagRule.of(all_tags=rule.all_tags, patterns=rule.patterns, version_ranges=rule.version_ranges)
            for rule in scope.rules
        ]
        for tag, target in self.tags.items():
            if any(rule.matches(tag) for rule in rules) and digest in self._below(target):
                return tag
        return None

    def _below(self, digest: Digest) -> set[Digest]:
        found: set[Digest] = set()
        left = [digest]
        while left:
            digest = left.pop()
            if digest in found:
                continue
            found.add(digest)
            if manifest := self.manifests.get(digest):
                left += [member.digest for member in (*manifest.manifests, *manifest.blobs)]
            left += [
                each.digest
                for each in self.manifests.values()
                if each.subject and each.subject.digest == digest
            ]
        return found


class FakeControlPlane(NodeServiceServicer):
    """`async with FakeControlPlane() as plane`, then `plane.address` and `plane.token` are for the node."""

    def __init__(self) -> None:
        self.token = new_token(TokenKind.NODE)
        self.revision = 1
        self.organizations: dict[str, config_pb2.OrganizationConfig] = {}
        self.artifacts: dict[str, FakeArtifact] = {}
        self.tokens: dict[str, config_pb2.TokenConfig] = {}
        self.customers: dict[str, config_pb2.CustomerConfig] = {}
        self.entitlements: dict[str, config_pb2.EntitlementConfig] = {}
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
        self._watchers: set[asyncio.Queue[node_pb2.WatchConfigResponse | None]] = set()
        self._numbers = iter(range(1, 1_000_000))

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

    # What there is. Each call raises the revision, and followers get the change.

    def add_organization(self, organization_id: str) -> str:
        """Give the uid of a new organization."""
        uid = f"org-{next(self._numbers)}"
        entry = config_pb2.OrganizationConfig(uid=uid, organization_id=organization_id)
        self.organizations[uid] = entry
        self._publish(config_pb2.ConfigurationChange(organizations=[entry]))
        return uid

    def add_token(
        self,
        organization_uid: str = "",
        role: Role.ValueType = Role.ROLE_READ_ONLY,
        expires_at: float | None = None,
        customer_uid: str = "",
    ) -> str:
        """Give the secret of a new token; without an organization it is the administrator's."""
        secret = new_token(TokenKind.USER)
        entry = config_pb2.TokenConfig(
            uid=f"token-{next(self._numbers)}",
            sha256=sha256(secret),
            organization_uid=organization_uid,
            user_uid="user-1",
            role=role,
            customer_uid=customer_uid,
        )
        if expires_at is not None:
            entry.expire_time.FromNanoseconds(int(expires_at * 1e9))
        self.tokens[entry.uid] = entry
        self._publish(config_pb2.ConfigurationChange(tokens=[entry]))
        return secret

    def close(self, organization_uid: str) -> None:
        """Let the customers of an organization see only what they are entitled to."""
        self.organizations[organization_uid].entitled_only = True
        entry = self.organizations[organization_uid]
        self._publish(config_pb2.ConfigurationChange(organizations=[entry]))

    def add_customer(self, organization_uid: str) -> str:
        """Give the uid of a new customer."""
        uid = f"customer-{next(self._numbers)}"
        entry = config_pb2.CustomerConfig(uid=uid, organization_uid=organization_uid, customer_id=uid)
        self.customers[uid] = entry
        self._publish(config_pb2.ConfigurationChange(customers=[entry]))
        return uid

    def entitle(
        self,
        customer_uid: str,
        artifact: FakeArtifact,
        *patterns: str,
        version_ranges: Iterable[str] = (),
        expires_at: float | None = None,
    ) -> str:
        """Give the uid of a new entitlement to tags of an artifact; to all where nothing names some."""
        entry = config_pb2.EntitlementConfig(
            uid=f"entitlement-{next(self._numbers)}", customer_uid=customer_uid
        )
        entry.grants.add(
            artifact_uid=artifact.uid,
            tags=entitlement_pb2.TagRule(patterns=patterns, version_ranges=version_ranges),
        )
        tags = entry.grants[0].tags
        tags.all_tags = not (tags.patterns or tags.version_ranges)
        if expires_at is not None:
            entry.expire_time.FromNanoseconds(int(expires_at * 1e9))
        self.entitlements[entry.uid] = entry
        self._publish(config_pb2.ConfigurationChange(entitlements=[entry]))
        return entry.uid

    def remove_entitlement(self, uid: str) -> None:
        """Delete an entitlement."""
        del self.entitlements[uid]
        self._publish(config_pb2.ConfigurationChange(removed_entitlement_uids=[uid]))

    def remove_token(self, secret: str) -> None:
        """Revoke a token."""
        uid = next(entry.uid for entry in self.tokens.values() if entry.sha256 == sha256(secret))
        del self.tokens[uid]
        self._publish(config_pb2.ConfigurationChange(removed_token_uids=[uid]))

    def add_artifact(self, repository: str, upstream: str = "127.0.0.1:1/none") -> FakeArtifact:
        """Add an artifact, and its organization where that is new; `upstream` is `host:port/repository`."""
        organization_id = repository.partition("/")[0]
        owners = [o.uid for o in self.organizations.values() if o.organization_id == organization_id]
        owner = owners[0] if owners else self.add_organization(organization_id)
        artifact = FakeArtifact(f"artifact-{next(self._numbers)}", owner, repository, upstream)
        self.artifacts[artifact.uid] = artifact
        self._publish(config_pb2.ConfigurationChange(artifacts=[artifact.config()]))
        return artifact

    def remove_artifact(self, artifact: FakeArtifact) -> None:
        """Delete an artifact."""
        del self.artifacts[artifact.uid]
        self._publish(config_pb2.ConfigurationChange(removed_artifact_uids=[artifact.uid]))

    def hold(self, artifact: FakeArtifact, image: Image, tags: Iterable[str] = ()) -> None:
        """Let an artifact have an image or index with its children; tags that are named move to it."""
        for part in (image, *image.children):
            artifact.manifests[part.digest] = Manifest.parse(part.manifest, part.media_type)
        artifact.tags |= dict.fromkeys(tags, image.digest)
        self.touch(artifact)

    def touch(self, artifact: FakeArtifact) -> None:
        """Raise an artifact's content revision, as a sync does that changed something."""
        artifact.content_revision += 1
        self._publish(config_pb2.ConfigurationChange(artifacts=[artifact.config()]))

    # What followers of the configuration see.

    def send(self, message: node_pb2.WatchConfigResponse) -> None:
        """Send every follower a message as it is."""
        for watcher in self._watchers:
            watcher.put_nowait(message)

    def end_streams(self) -> None:
        """End the streams of all followers, as a server that drains does."""
        for watcher in self._watchers:
            watcher.put_nowait(None)

    def snapshot(self) -> config_pb2.Configuration:
        """The configuration as it is now."""
        return config_pb2.Configuration(
            revision=self.revision,
            organizations=self.organizations.values(),
            artifacts=[artifact.config() for artifact in self.artifacts.values()],
            tokens=self.tokens.values(),
            customers=self.customers.values(),
            entitlements=self.entitlements.values(),
        )

    def _publish(self, change: config_pb2.ConfigurationChange) -> None:
        change.from_revision = self.revision
        self.revision += 1
        change.to_revision = self.revision
        self.send(node_pb2.WatchConfigResponse(change=change))

    # The service.

    async def WatchConfig(
        self, request: node_pb2.WatchConfigRequest, context: Any
    ) -> AsyncIterator[node_pb2.WatchConfigResponse]:
        await self._enter("WatchConfig", context)
        watcher: asyncio.Queue[node_pb2.WatchConfigResponse | None] = asyncio.Queue()
        self._watchers.add(watcher)
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
            self._watchers.discard(watcher)

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
            await _abort(context, Fault(grpc.StatusCode.NOT_FOUND, "MANIFEST_UNKNOWN"))
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
        await _abort(context, Fault(grpc.StatusCode.NOT_FOUND, "BLOB_UNKNOWN"))
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
            await _abort(context, Fault(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"))
        if method in self.gates:
            await self.gates[method].wait()
        if method in self.faults:
            await _abort(context, self.faults[method])

    async def _artifact(self, uid: str, context: Any) -> FakeArtifact:
        if uid not in self.artifacts:
            await _abort(context, Fault(grpc.StatusCode.NOT_FOUND, "ARTIFACT_UNKNOWN"))
        return self.artifacts[uid]


async def _abort(context: Any, fault: Fault) -> None:
    if not fault.reason:
        await context.abort(fault.code, fault.sentence)
    details = [error_details_pb2.ErrorInfo(reason=fault.reason, domain="penstock.dev")]
    if fault.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(fault.retry_after * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=fault.code.value[0], message=fault.sentence)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(fault.code, fault.sentence, trailing_metadata=trailing)
