"""From an artifact to its upstream: a client for tags and manifests, and what nodes need for blobs."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from clients.oci.breaker import State
from clients.oci.credential import CredentialSource
from clients.oci.registry import Registry
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream
from controlplane.model.artifact_tables import Artifact
from controlplane.upstream.credentials import Credentials

# What a breaker does, to people who know of none.
_FAILING: Final = {
    State.CLOSED: "A request to {} failed lately: it is asked as usual.",
    State.OPEN: "Requests to {} failed again and again: it is left alone a moment.",
    State.HALF_OPEN: "Requests to {} failed again and again: the next one finds out whether it answers.",
}


@dataclass(frozen=True, slots=True)
class NodeAccess:
    """What a node needs to fetch blobs of one upstream repository.

    `authorization` is the value of the header for `base_url`'s own origin, empty where it wants none;
    it ends at `expire_time`, None where it does not end. `ca_certificates` are PEM, empty for the system's.
    """

    base_url: str
    repository: str
    authorization: str = field(repr=False)
    expire_time: datetime | None
    allow_private_addresses: bool
    ca_certificates: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream repository, and how it is to be asked; without a credential, as anybody."""

    upstream: Upstream
    credential: CredentialSource | None = None
    ca_certificates: str = ""


class UpstreamAccess:
    """Makes clients for the upstreams of artifacts, over one transport."""

    def __init__(
        self, transport: Transport, *, allow_private: bool, credentials: Credentials | None = None
    ) -> None:
        self._transport = transport
        self._allow_private = allow_private
        self._credentials = credentials

    def repository(self, target: Target) -> Registry:
        """Give a client for an upstream repository."""
        return Registry(
            self._transport, target.upstream, target.credential, ca_certificates=target.ca_certificates
        )

    def trouble(self, artifact: Artifact) -> list[str]:
        """Say what keeps this process from asking an artifact's upstream now, in sentences."""
        upstream = upstream_of(artifact)
        host = upstream.host
        said = [
            _FAILING[state].format(origin)
            for origin, state in self._transport.breakers.states().items()
            if _is_of(origin, upstream)
        ]
        pause = self._transport.rates.pauses.get(host, 0.0)
        if pause:
            said.append(f"{host} wants to be left alone for {pause:.0f} seconds (429).")
        quota = self._transport.rates.quotas.get(host)
        if quota is not None:
            said.append(f"{host} last said that {quota.share:.0%} of its rate limit is left.")
        return said

    def registry(self, artifact: Artifact) -> Registry:
        """Give a client for the upstream repository of an artifact."""
        return self.repository(self._target(artifact))

    async def authorization(self, artifact: Artifact, *, refused: bool = False) -> NodeAccess:
        """Get what a node needs for blobs; with `refused`, anew and not from memory. Raises UpstreamError."""
        upstream = upstream_of(artifact)
        authorization = await self.registry(artifact).authorization(renew=refused)
        expire_time = authorization.expires_at
        if expire_time is None and authorization.value and artifact.credential_id is not None:
            expire_time = await self._token_end(artifact.credential_id, upstream)
        return NodeAccess(
            base_url=upstream.base_url,
            repository=upstream.repository,
            authorization=authorization.value,
            expire_time=expire_time,
            allow_private_addresses=self._allow_private,
            ca_certificates=artifact.ca_certificates,
        )

    async def _token_end(self, credential_id: int, upstream: Upstream) -> datetime | None:
        """Tell when the ECR token that was handed out as a password ends; None for a real password."""
        if self._credentials is None:
            return None
        token = await self._credentials.ecr_token(credential_id, upstream)
        return None if token is None else token.expires_at

    def _target(self, artifact: Artifact) -> Target:
        upstream = upstream_of(artifact)
        if artifact.credential_id is None:
            return Target(upstream, ca_certificates=artifact.ca_certificates)
        if self._credentials is None:
            raise RuntimeError("this process was not given the stored credentials")
        source = self._credentials.stored(artifact.credential_id, upstream)
        return Target(upstream, source, artifact.ca_certificates)


def _is_of(origin: str, upstream: Upstream) -> bool:
    """Tell whether an origin is an upstream's, or where that leads: a realm as `auth.docker.io`, storage."""
    own = origin.rpartition(" for ")[2]
    host = own.rpartition("://")[2]
    # The same port by the other scheme is another artifact's, or was this one's.
    return own == upstream.base_url if host == upstream.host else host.endswith(f".{upstream.host}")


def upstream_of(artifact: Artifact) -> Upstream:
    """Give the upstream repository of an artifact, as it was checked when it was saved."""
    return Upstream.parse(artifact.upstream, plain_http=artifact.plain_http)
