"""Requests that a worker is answering, or has just answered: what it notes until it makes records of them."""

from collections.abc import Callable
from typing import Final

from dataplane.access.principal import Principal
from dataplane.config.configuration import ArtifactEntry
from dataplane.events.records import NOTHING, Client, Kind, Outline, Record
from dataplane.resolve.manifest import ResolvedManifest

AGAIN: Final = 0.05
"""Seconds within which the same request, made again, is taken for part of the same command."""


class Run:
    """The same request for a manifest, again and again, from `first` on; `until` it may be made once more."""

    __slots__ = (
        "address",
        "agent",
        "artifact",
        "count",
        "first",
        "manifest",
        "principal",
        "sent",
        "tag",
        "until",
    )

    def __init__(
        self,
        principal: Principal,
        artifact: ArtifactEntry,
        address: str,
        agent: str,
        tag: str,
        manifest: ResolvedManifest,
        now: float,
        sent: bool,
    ) -> None:
        self.principal = principal
        self.artifact = artifact
        self.address = address
        self.agent = agent
        self.tag = tag
        self.manifest = manifest
        self.sent = sent
        self.first = now
        self.until = now + AGAIN
        self.count = 1

    def record(self, outline: Outline) -> Record:
        """Tell of all of them; `outline` is that of the manifest."""
        kind, size = (Kind.GET, len(self.manifest.content)) if self.sent else (Kind.LOOK, 0)
        return Record(
            kind,
            self.first,
            self.until - AGAIN,
            client_of(self.principal, self.artifact, self.address),
            self.agent,
            str(self.manifest.digest),
            self.tag,
            bytes=self.count * size,
            outline=outline,
        )


class Transfer:
    """A blob that is being sent."""

    __slots__ = (
        "agent",
        "began",
        "client",
        "clock",
        "digest",
        "ended",
        "length",
        "part",
        "redirected",
        "sent",
        "told",
        "warm",
    )

    def __init__(
        self,
        clock: Callable[[], float],
        client: Client,
        agent: str,
        digest: str,
        length: int,
        now: float,
        warm: bool,
        part: bool,
        redirected: int,
    ) -> None:
        self.clock = clock
        self.client = client
        self.agent = agent
        self.digest = digest
        self.length = length
        self.warm = warm
        self.part = part
        self.redirected = redirected
        self.began = now
        self.ended = self.told = 0.0
        self.sent = 0

    def end(self, count: int) -> None:
        """Note that so many bytes were sent, and no more will be."""
        self.sent = count
        self.ended = self.clock()

    def record(self, kind: Kind, at: float, last: float) -> Record:
        """Tell where it is."""
        over = self.ended != 0
        return Record(
            kind,
            at,
            last,
            self.client,
            self.agent,
            self.digest,
            "",
            self.sent,
            self.warm,
            self.part,
            over and self.sent == self.length,
            NOTHING,
            self.redirected if over else 0,
        )


def client_of(principal: Principal, artifact: ArtifactEntry, address: str) -> Client:
    """Say whose request it is."""
    return Client(
        principal.token_uid,
        principal.user_uid,
        principal.customer_uid,
        artifact.organization_uid,
        artifact.uid,
        address,
    )
