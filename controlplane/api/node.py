"""NodeService: what nodes ask of the control plane; how they are admitted is in `controlplane.api.nodes`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Final

from sqlmodel import col, update

from clients.oci.digest import Digest
from clients.oci.reference import parse_reference
from clients.oci.tag_rule import TagRule
from controlplane.analytics.recorder import Recorder
from controlplane.api.caller import caller
from controlplane.api.nodes import NodeAdmin
from controlplane.api.timestamps import duration, moment, timestamp
from controlplane.api.uses import Refusals, Report, Use, Uses
from controlplane.api.validation import Violations
from controlplane.catalog import held
from controlplane.catalog.referring import Referring
from controlplane.catalog.resolve import Resolver
from controlplane.config.watch import ConfigFeed
from controlplane.model import tag_rules
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.tables import Node
from controlplane.upstream.access import UpstreamAccess
from penstock.v1 import node_pb2, node_pb2_grpc

_TAGS_IN_A_MESSAGE: Final = 1000
_MOST_EVENTS: Final = 1000
# Characters of what a node says of itself that are kept.
_LONGEST_ERROR: Final = 1000
_LONGEST_VERSION: Final = 100
_LONGEST_ADDRESS: Final = 64
_MOST_USES: Final = 1000
# Sign-ins of one address in one report: no node answers so many, and sums of them are to be stored.
_MOST_REFUSED: Final = 1 << 30
_LONGEST_ID: Final = 64

_Scoped = node_pb2.ResolveReferenceRequest | node_pb2.ResolveBlobRequest | node_pb2.ListReferrersRequest


class NodeServicer(NodeAdmin, node_pb2_grpc.NodeServiceServicer):
    """Serves NodeService; the methods here are called by nodes, which the interceptor has recognised."""

    def __init__(
        self,
        database: Database,
        feed: ConfigFeed,
        resolver: Resolver,
        referring: Referring,
        access: UpstreamAccess,
        recorder: Recorder,
        uses: Uses,
        now: Callable[[], datetime],
        deleted: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(database, now, deleted)
        self._uses = uses
        self._feed = feed
        self._resolver = resolver
        self._referring = referring
        self._access = access
        self._recorder = recorder

    async def WatchConfig(
        self, _request: node_pb2.WatchConfigRequest, _context: object
    ) -> AsyncGenerator[node_pb2.WatchConfigResponse, None]:
        """Stream a snapshot, whatever the node runs, then changes and heartbeats."""
        async with aclosing(self._feed.watch()) as responses:
            async for response in responses:
                yield response

    async def ReportStatus(
        self, request: node_pb2.ReportStatusRequest, _context: object
    ) -> node_pb2.ReportStatusResponse:
        """Note what the node says of itself, and that it was seen."""
        async with self._database.write() as session:
            await session.exec(
                update(Node)
                .where(col(Node.uid) == caller().node_uid)
                .values(
                    last_seen_time=self._now(),
                    revision=request.revision,
                    config_error=_line(request.config_error, _LONGEST_ERROR),
                    version=_line(request.version, _LONGEST_VERSION),
                    passed_over_count=max(0, request.passed_over_count),
                    passed_over=_line(request.passed_over, _LONGEST_ERROR),
                )
            )
        return node_pb2.ReportStatusResponse()

    async def ResolveReference(
        self, request: node_pb2.ResolveReferenceRequest, _context: object
    ) -> node_pb2.ResolveReferenceResponse:
        """Give the manifest of a tag or digest."""
        with Violations() as violations:
            _require_artifact(violations, request.artifact_uid)
            reference = violations.check("reference", parse_reference, request.reference)
            scope = _scope(request, violations)
        found = await self._resolver.manifest(request.artifact_uid, reference, request.known_digest, scope)
        return node_pb2.ResolveReferenceResponse(
            digest=found.digest,
            media_type=found.media_type,
            size=found.size,
            content=found.content or b"",
            content_revision=found.content_revision,
            max_age=None if found.max_age is None else duration(found.max_age),
            reached_by=found.reached_by,
        )

    async def ResolveBlob(
        self, request: node_pb2.ResolveBlobRequest, _context: object
    ) -> node_pb2.ResolveBlobResponse:
        """Give the descriptor of a blob that the artifact reaches."""
        with Violations() as violations:
            _require_artifact(violations, request.artifact_uid)
            digest = violations.check("digest", Digest.parse, request.digest)
            scope = _scope(request, violations)
        found = await self._resolver.blob(request.artifact_uid, digest, scope)
        return node_pb2.ResolveBlobResponse(
            digest=found.digest,
            media_type=found.media_type,
            size=found.size,
            content_revision=found.content_revision,
            reached_by=found.reached_by,
        )

    async def StreamTags(
        self, request: node_pb2.StreamTagsRequest, _context: object
    ) -> AsyncGenerator[node_pb2.StreamTagsResponse, None]:
        """Stream all tags; of an artifact without any, one message without tags."""
        with Violations() as violations:
            _require_artifact(violations, request.artifact_uid)
        async with self._database.read() as session:
            artifact = await held.artifact(session, request.artifact_uid)
        empty = True
        async with aclosing(held.tag_pages(self._database, saved_id(artifact), _TAGS_IN_A_MESSAGE)) as pages:
            async for page in pages:
                empty = False
                # As old as the first page or older: a tag that came since is announced with a newer one.
                yield node_pb2.StreamTagsResponse(tags=page, content_revision=artifact.content_revision)
        if empty:
            yield node_pb2.StreamTagsResponse(content_revision=artifact.content_revision)

    async def ListReferrers(
        self, request: node_pb2.ListReferrersRequest, _context: object
    ) -> node_pb2.ListReferrersResponse:
        """List the manifests that refer to a digest."""
        with Violations() as violations:
            _require_artifact(violations, request.artifact_uid)
            digest = violations.check("digest", Digest.parse, request.digest)
            scope = _scope(request, violations)
        found, revision = await self._referring.of(request.artifact_uid, digest, scope)
        return node_pb2.ListReferrersResponse(
            referrers=[
                node_pb2.ListReferrersResponse.Referrer(
                    digest=item.digest,
                    media_type=item.media_type,
                    size=item.size,
                    artifact_type=item.artifact_type,
                    annotations=item.annotations,
                )
                for item in found
            ],
            content_revision=revision,
        )

    async def GetUpstreamAccess(
        self, request: node_pb2.GetUpstreamAccessRequest, _context: object
    ) -> node_pb2.GetUpstreamAccessResponse:
        """Give where the artifact's blobs come from, and what to show there."""
        with Violations() as violations:
            _require_artifact(violations, request.artifact_uid)
        async with self._database.read() as session:
            artifact = await held.artifact(session, request.artifact_uid)
        found = await self._access.authorization(artifact, refused=request.refused)
        return node_pb2.GetUpstreamAccessResponse(
            base_url=found.base_url,
            repository=found.repository,
            authorization=found.authorization,
            expire_time=timestamp(found.expire_time),
            allow_private_addresses=found.allow_private_addresses,
            ca_certificates=found.ca_certificates,
        )

    async def RecordPulls(
        self, request: node_pb2.RecordPullsRequest, _context: object
    ) -> node_pb2.RecordPullsResponse:
        """Store pulls; when this has answered, the node may forget them."""
        with Violations() as violations:
            if len(request.events) > _MOST_EVENTS:
                violations.add("events", f"are more than {_MOST_EVENTS}: report them in parts.")
        await self._recorder.record(request.events)
        return node_pb2.RecordPullsResponse()

    async def ReportUse(
        self, request: node_pb2.ReportUseRequest, _context: object
    ) -> node_pb2.ReportUseResponse:
        """Take note of the last use of tokens, and of sign-ins that were refused."""
        with Violations() as violations:
            for field in ("token_uses", "refused_sign_ins"):
                if len(getattr(request, field)) > _MOST_USES:
                    violations.add(field, f"are more than {_MOST_USES}: report them in parts.")
            uses = [
                Use(
                    each.token_uid,
                    violations.check("token_uses.time", moment, each.time),
                    _line(each.address, _LONGEST_ADDRESS),
                )
                for each in request.token_uses[:_MOST_USES]
            ]
            refusals = [
                Refusals(
                    _line(each.address, _LONGEST_ADDRESS),
                    _line(each.token_uid, _LONGEST_ADDRESS),
                    min(max(each.count, 1), _MOST_REFUSED),
                    violations.check("refused_sign_ins.last_time", moment, each.last_time),
                    _line(each.organization_uid, _LONGEST_ADDRESS),
                )
                for each in request.refused_sign_ins[:_MOST_USES]
            ]
            if len(request.report_id) > _LONGEST_ID:
                violations.add("report_id", f"has more than {_LONGEST_ID} characters.")
        report = Report(caller().node_uid or "", _line(request.report_id, _LONGEST_ID))
        await self._uses.save(uses, refusals, report)
        return node_pb2.ReportUseResponse()


def _scope(request: _Scoped, violations: Violations) -> list[TagRule]:
    """Read whom a node asks for; nothing for somebody who may have everything."""
    scope = request.scope
    if request.HasField("scope") and not scope.rules:
        # Not to be taken for everything.
        violations.add("scope.rules", "must have at least one rule; leave the scope out for everything.")
    return [
        violations.check(f"scope.rules[{number}]", tag_rules.rule, rule)
        for number, rule in enumerate(scope.rules)
    ]


def _require_artifact(violations: Violations, uid: str) -> None:
    if not uid:
        violations.add("artifact_uid", "must be the uid of an artifact.")


def _line(text: str, longest: int) -> str:
    # PostgreSQL takes no NUL, and lists show no control characters.
    return "".join(character for character in text[:longest] if character.isprintable())
