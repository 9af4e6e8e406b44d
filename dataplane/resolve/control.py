"""What a node asks of the control plane, in this plane's own values and errors."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import grpc

from clients.control.errors import ControlError, Unavailable, translated
from clients.oci.blob import BlobAccess
from clients.oci.digest import Digest, InvalidReference
from clients.oci.errors import (
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from dataplane.access.rules import Rules
from dataplane.resolve.errors import ControlPlaneAway, ControlPlaneSilent, Missing, Unknown
from penstock.v1 import entitlement_pb2, node_pb2
from penstock.v1.node_pb2_grpc import NodeServiceStub

PATIENCE: Final = 3.0
"""Seconds: a control plane that was restarted is back, and found again, within three."""

_PAUSE: Final = 0.25
# The control plane may have to ask a slow upstream first.
_TIMEOUT: Final = 30.0
_TAGS_TIMEOUT: Final = 60.0
_MOST_TAG_BYTES: Final = 64 << 20

_UPSTREAM: Final[dict[str, type[UpstreamError]]] = {
    "UPSTREAM_UNAVAILABLE": UpstreamUnavailable,
    "UPSTREAM_DENIED": UpstreamDenied,
    "UPSTREAM_RATE_LIMITED": UpstreamRateLimited,
    "UPSTREAM_INVALID": UpstreamInvalid,
}


AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference stands for; `content` is empty where the node said that it has it."""

    digest: Digest
    media_type: str
    content: bytes
    content_revision: int
    max_age: float | None = None
    """Seconds for which it may be used without asking again; None: until the content revision is another."""
    reached_by: str = ""
    """A tag of the rules that it was asked for with, which leads to it."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that an artifact reaches; size in bytes, `reached_by` as for a Reference."""

    size: int
    content_revision: int
    reached_by: str


@dataclass(frozen=True, slots=True)
class Grant:
    """Access to the blobs of an upstream repository; `expires_at` in seconds since the epoch, None never."""

    access: BlobAccess
    expires_at: float | None


class ControlPlane:
    """The calls of NodeService that resolve things.

    All raise Unknown, ControlPlaneAway where it cannot be asked, and other UpstreamErrors for what the
    upstream did to it. `patience` is in seconds.
    """

    def __init__(self, nodes: NodeServiceStub, patience: float = PATIENCE) -> None:
        self._nodes = nodes
        self._patience = patience

    async def patiently(self, ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Make one of the calls, and again while the control plane is away, for as long as a restart takes.

        For those who have nothing to serve without an answer. Raises what the last call raised.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                return await ask()
            except ControlPlaneSilent:
                raise
            except ControlPlaneAway:
                if loop.time() + _PAUSE > deadline:
                    raise
            await asyncio.sleep(_PAUSE)

    async def reference(
        self, artifact_uid: str, reference: str, known: Digest | None, rules: Rules | None = None
    ) -> Reference:
        """Resolve a tag or digest; `known` is the digest of content that need not be sent.

        With `rules`, a digest that no tag of theirs leads to is unknown, and no upstream is asked for it.
        """
        request = node_pb2.ResolveReferenceRequest(
            artifact_uid=artifact_uid,
            reference=reference,
            known_digest="" if known is None else str(known),
            scope=_scope(rules),
        )
        with _translated(Missing.MANIFEST):
            answer = await self._nodes.ResolveReference(request, timeout=_TIMEOUT)
            return Reference(
                Digest.parse(answer.digest),
                answer.media_type,
                answer.content,
                answer.content_revision,
                answer.max_age.ToNanoseconds() / 1e9 if answer.HasField("max_age") else None,
                answer.reached_by,
            )

    async def blob(self, artifact_uid: str, digest: Digest, rules: Rules | None = None) -> Blob:
        """Describe a blob that the artifact reaches; with `rules`, one that a tag of theirs leads to."""
        request = node_pb2.ResolveBlobRequest(
            artifact_uid=artifact_uid, digest=str(digest), scope=_scope(rules)
        )
        with _translated(Missing.BLOB):
            answer = await self._nodes.ResolveBlob(request, timeout=_TIMEOUT)
            return Blob(answer.size, answer.content_revision, answer.reached_by)

    async def tags(self, artifact_uid: str) -> tuple[list[str], int]:
        """List all tags of an artifact, and the content revision."""
        tags: list[str] = []
        size = revision = 0
        with _translated(Missing.ARTIFACT):
            call = self._nodes.StreamTags(
                node_pb2.StreamTagsRequest(artifact_uid=artifact_uid), timeout=_TAGS_TIMEOUT
            )
            try:
                async for answer in call:
                    tags += answer.tags
                    revision = answer.content_revision
                    size += sum(map(len, answer.tags))
                    if size > _MOST_TAG_BYTES:
                        raise UpstreamInvalid("the control plane", "The artifact has too many tags to list.")
            finally:
                call.cancel()
        return tags, revision

    async def referrers(
        self, artifact_uid: str, subject: Digest
    ) -> Sequence[node_pb2.ListReferrersResponse.Referrer]:
        """List the manifests of an artifact that refer to one."""
        request = node_pb2.ListReferrersRequest(artifact_uid=artifact_uid, digest=str(subject))
        with _translated(Missing.ARTIFACT):
            answer = await self._nodes.ListReferrers(request, timeout=_TIMEOUT)
            for referrer in answer.referrers:
                Digest.parse(referrer.digest)
        return answer.referrers

    async def upstream_access(self, artifact_uid: str, *, refused: bool) -> Grant:
        """Get what blobs can be fetched with; `refused` when the upstream no longer takes the last grant."""
        request = node_pb2.GetUpstreamAccessRequest(artifact_uid=artifact_uid, refused=refused)
        with _translated(Missing.ARTIFACT):
            answer = await self._nodes.GetUpstreamAccess(request, timeout=_TIMEOUT)
        access = BlobAccess(
            base_url=answer.base_url,
            repository=answer.repository,
            authorization=answer.authorization,
            allow_private=answer.allow_private_addresses,
            ca_certificates=answer.ca_certificates,
        )
        expires_at = answer.expire_time.seconds if answer.HasField("expire_time") else None
        return Grant(access, expires_at)


def _scope(rules: Rules | None) -> node_pb2.TagScope | None:
    if rules is None:
        return None
    return node_pb2.TagScope(
        rules=[
            entitlement_pb2.TagRule(
                all_tags=rule.all_tags, patterns=rule.patterns, version_ranges=rule.version_ranges
            )
            for rule in rules.rules
        ]
    )


@contextmanager
def _translated(missing: Missing) -> Iterator[None]:
    try:
        with translated():
            yield
    except ControlError as error:
        raise _translate(error, missing) from error
    except InvalidReference as error:
        raise UpstreamInvalid("the control plane", f"Its answer is malformed: {error}") from error


def _translate(error: ControlError, missing: Missing) -> Exception:
    upstream = _UPSTREAM.get(error.reason)
    if upstream is not None:
        host = error.metadata.get("upstream_host", "")
        return upstream(host, str(error), retry_after=error.retry_after)
    if error.code is grpc.StatusCode.NOT_FOUND:
        return Unknown(Missing.ARTIFACT if error.reason == "ARTIFACT_UNKNOWN" else missing)
    if isinstance(error, Unavailable):
        silent = error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        return (ControlPlaneSilent if silent else ControlPlaneAway)(
            "The control plane cannot be reached, and this node does not have the answer.",
            retry_after=error.retry_after,
        )
    # It is there but refuses this node, or failed: for the client nothing that it could do about.
    return UpstreamUnavailable(
        "the control plane",
        "The control plane did not answer this node's question.",
        retry_after=error.retry_after,
    )
