"""What lets one read: Bearer tokens (distribution's token authentication specification, "token"), and Basic.

A registry answers 401 with a challenge. A Bearer one names a token service; that gives a token for the scope
that is asked for, to anybody or to the owner of a credential, and the token lets one read. Tokens are kept
until shortly before they end. With a Basic one, the registry wants the credential itself.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

from yarl import URL

from clients.oci.attempts import Attempts
from clients.oci.challenge import Challenge, InvalidChallenge, parse_challenges
from clients.oci.credential import Basic
from clients.oci.errors import UpstreamDenied, UpstreamError, UpstreamInvalid
from clients.oci.failure import refusal
from clients.oci.origin import ForbiddenUrl, Origin, trusted_realm
from clients.oci.reader import Authorization, Held, Reader, ReaderKey
from clients.oci.request import Answer, Request
from clients.oci.strict_json import InvalidJson, read_object
from clients.oci.upstream import Upstream

_ANSWER_LIMIT = 64 * 1024
_TOKEN = re.compile(r"[!-~]+")
# In seconds. The specification's default, and what a service cannot ask for more than.
_DEFAULT_LIFETIME = 60.0
_LONGEST_LIFETIME = 24 * 3600.0
# A token is renewed before its last fifth, or before its last half minute where that is shorter.
_RESERVE = 30.0
_RESERVE_SHARE = 0.2
# How long a registry that wanted no token is believed to want none.
_OPEN_FOR = 300.0
_REFUSALS = frozenset({400, 401, 403, 404})


class Fetch(Protocol):
    """How answers are got; `Transport.fetch`."""

    def __call__(self, request: Request, *, limit: int) -> Awaitable[Answer]:
        """Sends a request and reads at most `limit` bytes of its answer."""
        ...


class Tokens:
    """The authorizations of a process by reader; concurrent wishes for one token are merged.

    `attempts` is what is known of credentials. `clock` gives seconds and is never set; `now` gives those
    since the epoch.
    """

    def __init__(self, fetch: Fetch, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self.attempts = Attempts(clock)
        self._fetch = fetch
        self._clock = clock
        self._now = now
        self._held = Held(clock)
        self._running: dict[ReaderKey, asyncio.Task[Authorization]] = {}

    async def close(self) -> None:
        """Ends fetches that are under way."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def held(self, reader: Reader) -> Authorization | None:
        """Returns what is known to read an upstream and still good; None when nothing is known."""
        return self._held.get(reader)

    def forget(self, reader: Reader) -> None:
        """Drops what is known, so that it is found out anew."""
        self._held.forget(reader)

    def wants_none(self, reader: Reader) -> None:
        """Takes note that an upstream has just answered without being shown anything."""
        self._held.keep(reader, Authorization("", None), self._clock() + _OPEN_FOR)

    def takes_basic(self, reader: Reader) -> None:
        """Takes note that an upstream has just taken the reader's credential itself."""
        self._held.keep_credential(reader)

    async def obtain(self, reader: Reader, challenges: Iterable[str], *, refused: str) -> Authorization:
        """Gets what the WWW-Authenticate headers `challenges` ask for.

        `refused` is the value that these headers answered: another that was got since is returned at once.
        Raises UpstreamError: UpstreamDenied where there is no credential, or no token for it;
        CredentialRefused for a wrong one; UpstreamInvalid for a challenge that is malformed or names a
        token service that is not to be trusted.
        """
        held = self.held(reader)
        if held is not None and held.value not in ("", refused):
            return held
        challenge = _challenge(reader, challenges)
        if challenge.scheme == "basic" and reader.credential is not None:
            return Authorization(reader.credential.header, None)
        key = reader.key
        task = self._running.get(key)
        if task is None:
            # A task of its own, so that the one who asked first may leave while others wait.
            task = asyncio.create_task(self._obtain(reader, _token_url(reader.upstream, challenge)))
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    def _ended(self, key: ReaderKey, task: asyncio.Task[Authorization]) -> None:
        del self._running[key]
        if not task.cancelled():
            # Everybody who waited may have left; the failure then interests nobody.
            task.exception()

    async def _obtain(self, reader: Reader, url: URL) -> Authorization:
        upstream, credential = reader.upstream, reader.credential
        request = Request(
            host=upstream.host,
            url=url,
            username="" if credential is None else credential.username,
            headers={"Accept": "application/json"},
            authorization="" if credential is None else credential.header,
            max_redirects=0,
            ca_certificates=reader.ca_certificates,
            ca_host=Origin.of(URL(upstream.base_url)).host,
        )
        asked, asked_at = self._clock(), self._now()
        if credential is None:
            answer = await self._fetch(request, limit=_ANSWER_LIMIT)
        else:
            async with self.attempts.trial(upstream, credential):
                answer = await self._fetch(request, limit=_ANSWER_LIMIT)
                self._judge(upstream, credential, answer.status)
        if answer.status != 200:
            raise _no_token(reader, request, answer)
        token, lifetime = _read(upstream, answer.body)
        authorization = Authorization(f"Bearer {token}", datetime.fromtimestamp(asked_at + lifetime, UTC))
        self._held.keep(reader, authorization, asked + lifetime - min(_RESERVE, lifetime * _RESERVE_SHARE))
        return authorization

    def _judge(self, upstream: Upstream, credential: Basic, status: int) -> None:
        """Says what a token service's answer tells of the credential; raises CredentialRefused."""
        # Some services have 403 for a wrong password, others for a repository that is not one's own: of a
        # credential that has never been good, it is the former.
        if status == 401 or (status == 403 and not self.attempts.knows(upstream, credential)):
            raise self.attempts.refuse(upstream, credential)
        if status == 200:
            self.attempts.accept(upstream, credential)


def _challenge(reader: Reader, headers: Iterable[str]) -> Challenge:
    """Chooses the challenge to answer: a token ends, so that it is better than the credential itself."""
    host = reader.upstream.host
    try:
        challenges = {one.scheme: one for one in reversed(parse_challenges(headers))}
    except InvalidChallenge as error:
        raise UpstreamInvalid(host, f"{host} wants authentication, but its challenge {error}.") from None
    chosen = challenges.get("bearer") or challenges.get("basic")
    if chosen is None or (chosen.scheme == "basic" and reader.credential is None):
        raise UpstreamDenied(
            host, f"{host} wants a user name and password to read {reader.upstream.repository}."
        )
    return chosen


def _no_token(reader: Reader, request: Request, answer: Answer) -> UpstreamError:
    host, repository = reader.upstream.host, reader.upstream.repository
    if answer.status in _REFUSALS:
        how = "without credentials" if reader.credential is None else "with this credential"
        return UpstreamDenied(
            host,
            f"{host} gives no token to read {repository} {how} (its token service answered {answer.status}).",
        )
    what = f"a token for {repository}"
    return refusal(host, what, answer.status, answer.headers, answer.body, secret=request.authorization)


def _token_url(upstream: Upstream, challenge: Challenge) -> URL:
    host, bearer = upstream.host, challenge.parameters
    try:
        url = trusted_realm(URL(upstream.base_url), bearer.get("realm", ""))
    except ForbiddenUrl as error:
        raise UpstreamInvalid(
            host, f"{host} names a token service whose address {error}, so that it was not asked for a token."
        ) from None
    wanted = {"service": bearer.get("service", ""), "scope": _scope(upstream, bearer.get("scope", ""))}
    return url.update_query({name: value for name, value in wanted.items() if value})


def _scope(upstream: Upstream, challenged: str) -> str:
    # Never more than reading this repository, whatever the challenge suggests; but registries with scopes of
    # another kind (public.ecr.aws: "aws") have to be followed.
    if challenged and ":" not in challenged:
        return challenged
    return f"repository:{upstream.repository}:pull"


def _read(upstream: Upstream, body: bytes) -> tuple[str, float]:
    # The token, and its life in seconds.
    try:
        document = read_object(body)
    except InvalidJson as error:
        raise UpstreamInvalid(
            upstream.host, f"The answer of {upstream.host}'s token service {error}."
        ) from None
    token = document.get("token") or document.get("access_token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise UpstreamInvalid(
            upstream.host, f"The answer of {upstream.host}'s token service has no proper token."
        )
    return token, _lifetime(document.get("expires_in"))


def _lifetime(value: Any) -> float:
    # Compared before it is converted, since JSON's numbers may be larger than any float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return _DEFAULT_LIFETIME
    return float(min(value, _LONGEST_LIFETIME))
