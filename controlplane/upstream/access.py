"""From an artifact to its upstream: a client for tags and manifests, and what nodes need for blobs."""

from dataclasses import dataclass
from datetime import datetime

from clients.oci.registry import Registry
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream
from controlplane.model.tables import Artifact


@dataclass(frozen=True, slots=True)
class NodeAccess:
    """What a node needs to fetch blobs of one upstream repository.

    `authorization` is the value of the header for `base_url`'s own origin, empty where it wants none;
    it ends at `expire_time`, None where it does not end.
    """

    base_url: str
    repository: str
    authorization: str
    expire_time: datetime | None
    allow_private_addresses: bool


class UpstreamAccess:
    """Makes clients for the upstreams of artifacts, over one transport."""

    def __init__(self, transport: Transport, *, allow_private: bool) -> None:
        self._transport = transport
        self._allow_private = allow_private

    def repository(self, upstream: Upstream) -> Registry:
        """Give a client for an upstream repository."""
        return Registry(self._transport, upstream)

    def registry(self, artifact: Artifact) -> Registry:
        """Give a client for the upstream repository of an artifact."""
        return self.repository(upstream_of(artifact))

    async def authorization(self, artifact: Artifact, *, refused: bool = False) -> NodeAccess:
        """Get what a node needs for blobs; with `refused`, anew and not from memory. Raises UpstreamError."""
        upstream = upstream_of(artifact)
        authorization = await self.repository(upstream).authorization(renew=refused)
        return NodeAccess(
            base_url=upstream.base_url,
            repository=upstream.repository,
            authorization=authorization.value,
            expire_time=authorization.expires_at,
            allow_private_addresses=self._allow_private,
        )


def upstream_of(artifact: Artifact) -> Upstream:
    """Give the upstream repository of an artifact, as it was checked when it was saved."""
    return Upstream.parse(artifact.upstream, plain_http=artifact.plain_http)
