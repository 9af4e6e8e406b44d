"""Stored credentials at work: from an artifact's row to what its upstream is shown."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlmodel import select

from clients.oci.credential import Basic
from clients.oci.errors import CredentialRefused, PermissionMissing, UpstreamDenied, UpstreamError
from clients.oci.upstream import Upstream
from clients.process.merge import Merge
from controlplane.model.database import Database
from controlplane.model.keys import Keys
from controlplane.model.secrets import SealBroken
from controlplane.model.upstream_tables import Credential
from controlplane.upstream.ecr import Ecr, Region, Token
from controlplane.upstream.ecr_tokens import EcrTokens
from controlplane.upstream.notes import Notes
from controlplane.upstream.opened import AwsKey, OpenCredential, opened

# Seconds until a row is read again: how long another replica uses a secret that was changed.
_FRESH: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """A credential in memory, since when, and what ends that."""

    credential: OpenCredential
    read_at: float
    end: asyncio.TimerHandle


class Credentials:
    """Opens stored credentials for their upstreams; keeps secrets in memory for some seconds.

    `now` is the time of day in UTC, `clock` counts seconds and never goes back.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        ecr: Ecr,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens = EcrTokens(database, keys, ecr, now, clock=clock)
        self.notes = Notes(database, now)
        self._database = database
        self._keys = keys
        self._ecr = ecr
        self._now = now
        self._clock = clock
        self._opened: dict[int, _Kept] = {}

    async def stop(self) -> None:
        """Give up what is being asked of AWS, write what was noted, and keep no secret."""
        for credential_id in list(self._opened):
            self._drop(credential_id)
        await self.tokens.stop()
        await self.notes.stop()

    def stored(self, credential_id: int, upstream: Upstream) -> "StoredCredential":
        """Give a stored credential as the source of what one upstream is shown."""
        return StoredCredential(self, credential_id, upstream)

    def candidate(self, content: Basic | AwsKey) -> "Candidate":
        """Give a credential that is not stored yet, to be tried."""
        return Candidate(content, self._ecr, self._now)

    def forget(self, credential_id: int) -> None:
        """Read a credential anew when it is next used: it was changed, or deleted."""
        self._drop(credential_id)
        self.tokens.forget(credential_id)

    async def open(self, credential_id: int, upstream: Upstream, *, anew: bool = False) -> OpenCredential:
        """Give a credential with its secrets; raises UpstreamError about the upstream where it cannot be."""
        kept = self._opened.get(credential_id)
        if kept is not None and not anew and self._clock() - kept.read_at < _FRESH:
            return kept.credential
        async with self._database.read() as session:
            row = (await session.exec(select(Credential).where(Credential.id == credential_id))).first()
        if row is None:
            self._drop(credential_id)
            raise UpstreamDenied(upstream.host, "The credential of this artifact was deleted.")
        try:
            found = opened(row, self._keys)
        except SealBroken as error:
            raise CredentialRefused(upstream.host, f"The credential cannot be used. {error}") from error
        self._drop(credential_id)
        end = asyncio.get_running_loop().call_later(_FRESH, self._drop, credential_id)
        self._opened[credential_id] = _Kept(found, self._clock(), end)
        return found

    def _drop(self, credential_id: int) -> None:
        kept = self._opened.pop(credential_id, None)
        if kept is not None:
            kept.end.cancel()

    async def ecr_token(
        self, credential_id: int, upstream: Upstream, refused: Basic | None = None
    ) -> Token | None:
        """Give the ECR token for an upstream; None where the credential is of another type."""
        credential = await self.open(credential_id, upstream, anew=refused is not None)
        if isinstance(credential.content, Basic):
            return None
        try:
            return await self.tokens.get(credential, Region.of(upstream), refused)
        except (CredentialRefused, PermissionMissing) as error:
            self.notes.rejected(credential_id, str(error))
            raise


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A CredentialSource from the table: it follows changes while it is in use."""

    credentials: Credentials
    credential_id: int
    upstream: Upstream

    async def get(self, *, refused: Basic | None = None) -> Basic | None:
        """Give what the upstream is shown now."""
        opened_now = await self.credentials.open(self.credential_id, self.upstream, anew=refused is not None)
        if isinstance(opened_now.content, Basic):
            return opened_now.content
        token = await self.credentials.ecr_token(self.credential_id, self.upstream, refused)
        return None if token is None else token.basic

    def accepted(self) -> None:
        """Note it at the credential."""
        self.credentials.notes.accepted(self.credential_id)

    def rejected(self, error: CredentialRefused) -> None:
        """Note it at the credential."""
        self.credentials.notes.rejected(self.credential_id, str(error))


class Candidate:
    """A CredentialSource that is tried before it is saved; `tokens` are those that AWS gave for it."""

    def __init__(self, content: Basic | AwsKey, ecr: Ecr, now: Callable[[], datetime]) -> None:
        self.content = content
        self.tokens: dict[Region, Token] = {}
        self._ecr = ecr
        self._now = now
        self._asking: Merge[Region, Token] = Merge()
        self._refused: UpstreamError | None = None

    def of(self, upstream: Upstream) -> "CandidateFor":
        """Give it as the source of what one upstream is shown."""
        return CandidateFor(self, Region.of(upstream))

    async def token(self, region: Region) -> Basic:
        """Give the password for the registries of a region. Raises UpstreamError."""
        if isinstance(self.content, Basic):
            return self.content
        if self._refused is not None:
            raise self._refused.with_traceback(None)
        token = self.tokens.get(region) or await self._asking.run(region, lambda: self._ask(region))
        return token.basic

    async def _ask(self, region: Region) -> Token:
        if isinstance(self.content, Basic):
            raise TypeError("only an access key of AWS gets ECR's tokens")
        try:
            self.tokens[region] = await self._ecr.token(self.content, region, self._now())
        except UpstreamError as error:
            self._refused = error
            raise
        return self.tokens[region]


@dataclass(frozen=True, slots=True)
class CandidateFor:
    """A candidate for one upstream; a CredentialSource."""

    candidate: Candidate
    region: Region

    async def get(self, *, refused: Basic | None = None) -> Basic | None:
        """Give what the upstream is shown; the same when it was refused."""
        del refused
        return await self.candidate.token(self.region)

    def accepted(self) -> None:
        """Keep nothing: it is not stored yet."""

    def rejected(self, error: CredentialRefused) -> None:
        """Keep nothing: it is not stored yet."""
