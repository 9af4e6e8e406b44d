"""ECR's tokens, each got once for all artifacts that share a credential, and for all replicas."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from math import inf
from typing import Final

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.credential import Basic
from clients.oci.errors import CredentialRefused, PermissionMissing, UpstreamError
from clients.process.merge import Merge
from controlplane.model.database import Database
from controlplane.model.keys import Keys
from controlplane.model.secrets import SealBroken
from controlplane.model.upstream_tables import EcrToken
from controlplane.upstream.ecr import Ecr, Region, Token
from controlplane.upstream.opened import AwsKey, OpenCredential

_LOG = logging.getLogger(__name__)

# How long a replica that asks AWS is waited for; longer than it may take with all its attempts.
_LEASE: Final = timedelta(seconds=90)
# How far apart the clocks of two replicas may be.
_SKEW: Final = timedelta(seconds=30)
# Seconds between two looks at the row that another replica is to fill.
_LOOK_AGAIN: Final = 0.2
# Seconds for which AWS is not asked again after it refused a key, or could not renew a token that is good.
_PAUSE: Final = 60.0
# Renewals before their time, because a registry refused a token, in so many seconds.
_FORCED: Final = 3
_FORCED_IN: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Key:
    credential_id: int
    uid: str
    version: str
    region: Region


class EcrTokens:
    """Gives the token of a credential in a region, from memory, from the table, or from AWS.

    `now` is the time of day in UTC, `clock` counts seconds and never goes back.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        ecr: Ecr,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._keys = keys
        self._ecr = ecr
        self._now = now
        self._sleep = sleep
        self._clock = clock
        self._held: dict[_Key, Token] = {}
        # When each was asked for last, by the clock that never goes back.
        self._used: dict[_Key, float] = {}
        # AWS is not asked again before then, by the clock that never goes back; forced are past.
        self._refused: dict[_Key, tuple[float, UpstreamError]] = {}
        self._late: dict[_Key, float] = {}
        self._forced: dict[_Key, deque[float]] = {}
        self._asking: Merge[tuple[_Key, Basic | None], Token] = Merge()

    async def stop(self) -> None:
        """Give up what is being asked."""
        await self._asking.stop()

    async def get(self, credential: OpenCredential, region: Region, refused: Basic | None = None) -> Token:
        """Give a token; another than `refused` if there may be one. Raises UpstreamError."""
        key = _Key(credential.id, credential.uid, credential.version, region)
        self._used[key] = self._clock()
        held = self._held.get(key)
        if held is not None and held.basic != refused and not self._is_due(key, held):
            return held
        return await self._asking.run((key, refused), partial(self._obtain, key, credential, refused))

    def forget(self, credential_id: int) -> None:
        """Keep nothing of a credential in memory: it was changed, or deleted."""
        for key in list(self._used):
            if key.credential_id == credential_id:
                self._let_go(key)

    def ages(self) -> Mapping[tuple[str, str], timedelta]:
        """Tell how long ago each token in use was got, by credential's uid and region.

        One that is due and was not asked for since is not in use, and not renewed: its key may be gone.
        """
        self._let_go_of_unused()
        now = self._now()
        return {(key.uid, str(key.region)): now - token.fetched_at for key, token in self._held.items()}

    def _is_due(self, key: _Key, token: Token) -> bool:
        now = self._now()
        return now >= token.expires_at or (
            now >= token.renew_at and self._clock() >= self._late.get(key, -inf)
        )

    async def _obtain(self, key: _Key, credential: OpenCredential, refused: Basic | None) -> Token:
        self._raise_if_refused(key)
        while True:
            async with self._database.read() as session:
                token = self._opened(credential, key, await _row(session, key))
            if token is not None and self._serves(key, token, refused):
                return self._hold(key, token)
            async with self._database.write(aside=True) as session:
                # Somebody may have been quicker.
                row = await _row(session, key, insert=True)
                token = self._opened(credential, key, row)
                if token is not None and self._serves(key, token, refused):
                    return self._hold(key, token)
                now = self._now()
                mine = row is not None and not _is_asking(row, now)
                if mine:
                    await _write(session, key, lease_until=now + _LEASE)
            if mine:
                return await self._ask(key, credential, token, refused)
            if token is not None and token.basic != refused and self._now() < token.expires_at:
                return token
            await self._sleep(_LOOK_AGAIN)

    def _serves(self, key: _Key, token: Token, refused: Basic | None) -> bool:
        if token.basic == refused:
            # A registry that refuses whatever it is shown must not have AWS asked without end.
            return not self._may_force(key)
        return not self._is_due(key, token)

    def _may_force(self, key: _Key) -> bool:
        forced = self._forced.setdefault(key, deque(maxlen=_FORCED))
        return len(forced) < _FORCED or forced[0] <= self._clock() - _FORCED_IN

    async def _ask(
        self, key: _Key, credential: OpenCredential, before: Token | None, refused: Basic | None
    ) -> Token:
        values: dict[str, object] = {"lease_until": None}
        try:
            if not isinstance(credential.content, AwsKey):
                raise TypeError("only an access key of AWS gets ECR's tokens")
            if before is not None and before.basic == refused:
                self._forced.setdefault(key, deque(maxlen=_FORCED)).append(self._clock())
            token = await self._ecr.token(credential.content, key.region, self._now())
            values |= self._sealed(credential, key.region, token)
        except UpstreamError as error:
            if before is not None and before.basic != refused and self._now() < before.expires_at:
                _LOG.warning("The ECR token for %s is not renewed yet: %s", key.region, error)
                self._late[key] = self._clock() + _PAUSE
                return self._hold(key, before)
            if isinstance(error, CredentialRefused | PermissionMissing):
                self._refused[key] = (self._clock() + _PAUSE, error)
            raise
        finally:
            async with self._database.write(aside=True) as session:
                await _write(session, key, **values)
        _LOG.info("Got an ECR token for %s, good until %s.", key.region, token.expires_at)
        return self._hold(key, token)

    async def save(
        self, session: AsyncSession, credential: OpenCredential, tokens: Mapping[Region, Token]
    ) -> None:
        """Put tokens that were got for a credential before it was saved into the table."""
        for region, token in tokens.items():
            key = _Key(credential.id, credential.uid, credential.version, region)
            await _row(session, key, insert=True)
            await _write(session, key, **self._sealed(credential, region, token))

    def _sealed(self, credential: OpenCredential, region: Region, token: Token) -> dict[str, object]:
        text = f"{token.basic.username}:{token.basic.password}"
        return {
            "token": self._keys.seal(text, token_place(credential.uid, credential.version, str(region))),
            "fetch_time": token.fetched_at,
            "expire_time": token.expires_at,
        }

    def _opened(self, credential: OpenCredential, key: _Key, row: EcrToken | None) -> Token | None:
        if row is None or not row.token or row.fetch_time is None or row.expire_time is None:
            return None
        try:
            place = token_place(credential.uid, credential.version, str(key.region))
            username, _, password = self._keys.open(row.token, place).partition(":")
        except SealBroken:
            # Of the access key that the credential had before, or of an encryption key that is lost.
            return None
        return Token(Basic(username, password), row.fetch_time, row.expire_time)

    def _hold(self, key: _Key, token: Token) -> Token:
        self._let_go_of_unused()
        for other in list(self._used):
            if other.credential_id == key.credential_id and other.version != key.version:
                self._let_go(other)
        self._held[key] = token
        self._used.setdefault(key, self._clock())
        return token

    def _let_go(self, key: _Key) -> None:
        for memory in (self._held, self._used, self._refused, self._late, self._forced):
            memory.pop(key, None)

    def _let_go_of_unused(self) -> None:
        now, clock = self._now(), self._clock()
        for key, token in list(self._held.items()):
            used = now - timedelta(seconds=clock - self._used[key])
            if used < token.renew_at <= now:
                self._let_go(key)

    def _raise_if_refused(self, key: _Key) -> None:
        until, error = self._refused.get(key, (None, None))
        if until is None or error is None:
            return
        if self._clock() < until:
            raise error.with_traceback(None)
        del self._refused[key]


def token_place(uid: str, version: str, region: str) -> str:
    """Name the place that a token is sealed for: what the credential had before does not open it."""
    return f"ecr_token/{uid}/{version}/{region}"


def _is_asking(row: EcrToken, now: datetime) -> bool:
    # A turn that ends later than any that begins now is of a clock that was wrong: it must not be waited for.
    return row.lease_until is not None and now < row.lease_until <= now + _LEASE + _SKEW


async def _row(session: AsyncSession, key: _Key, *, insert: bool = False) -> EcrToken | None:
    where = (EcrToken.credential_id == key.credential_id, EcrToken.region == str(key.region))
    statement = select(EcrToken).where(*where)
    if insert:
        make = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        await session.exec(
            make(EcrToken)
            .values(credential_id=key.credential_id, region=str(key.region), token="")
            .on_conflict_do_nothing()
        )
        statement = statement.with_for_update()
    return (await session.exec(statement)).first()


async def _write(session: AsyncSession, key: _Key, **values: object) -> None:
    await session.exec(
        update(EcrToken)
        .where(col(EcrToken.credential_id) == key.credential_id, col(EcrToken.region) == str(key.region))
        .values(**values)
    )
