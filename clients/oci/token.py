"""Anonymous Bearer tokens (distribution's token authentication specification, "token").

A registry answers 401 with a challenge, which names a token service; that gives a token for the scope that
is asked for, and the token lets one read. Tokens are kept until shortly before they end.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from yarl import URL

from clients.oci.challenge import InvalidChallenge, parse_challenges
from clients.oci.errors import UpstreamDenied, UpstreamInvalid
from clients.oci.failure import refusal
from clients.oci.origin import ForbiddenUrl, trusted_realm
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
_REMEMBERED = 10_000
_REFUSALS = frozenset({400, 401, 403, 404})


@dataclass(frozen=True, slots=True)
class Authorization:
    """What reads one upstream repository.

    `value` is for the Authorization header, to the upstream's own origin only; empty where it wants none.
    `expires_at` is when that ends; None when it does not, or is empty.
    """

    value: str = field(repr=False)
    expires_at: datetime | None


class Fetch(Protocol):
    """How answers are got; `Transport.fetch`."""

    def __call__(self, request: Request, *, limit: int) -> Awaitable[Answer]:
        """Sends a request and reads at most `limit` bytes of its answer."""
        ...


class Tokens:
    """The tokens of a process by upstream repository; concurrent wishes for one are merged."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        # With the time until which each may be used; the one that was used last stands last.
        self._held: OrderedDict[Upstream, tuple[Authorization, float]] = OrderedDict()
        self._running: dict[Upstream, asyncio.Task[Authorization]] = {}

    async def close(self) -> None:
        """Ends fetches that are under way."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def held(self, upstream: Upstream) -> Authorization | None:
        """Returns what is known to read an upstream and still good; None when nothing is known."""
        authorization, until = self._held.get(upstream, (None, 0.0))
        if authorization is None or self._clock() >= until:
            return None
        self._held.move_to_end(upstream)
        return authorization

    def forget(self, upstream: Upstream) -> None:
        """Drops what is known, so that it is found out anew."""
        self._held.pop(upstream, None)

    def wants_none(self, upstream: Upstream) -> None:
        """Takes note that an upstream has just answered without a token."""
        self._keep(upstream, Authorization("", None), self._clock() + _OPEN_FOR)

    async def obtain(self, upstream: Upstream, challenges: Iterable[str], *, refused: str) -> Authorization:
        """Gets a token, as the WWW-Authenticate headers `challenges` ask for.

        `refused` is the value that these headers answered: another that was got since is returned at once.
        Raises UpstreamError: UpstreamDenied where no anonymous token is to be had, UpstreamInvalid for a
        challenge that is malformed or names a token service that is not to be trusted.
        """
        held = self.held(upstream)
        if held is not None and held.value not in ("", refused):
            return held
        task = self._running.get(upstream)
        if task is None:
            # A task of its own, so that the one who asked first may leave while others wait.
            task = asyncio.create_task(self._obtain(upstream, list(challenges)))
            self._running[upstream] = task
            task.add_done_callback(lambda done: self._ended(upstream, done))
        return await asyncio.shield(task)

    def _ended(self, upstream: Upstream, task: asyncio.Task[Authorization]) -> None:
        del self._running[upstream]
        if not task.cancelled():
            # Everybody who waited may have left; the failure then interests nobody.
            task.exception()

    async def _obtain(self, upstream: Upstream, challenges: list[str]) -> Authorization:
        url = _token_url(upstream, challenges)
        request = Request(
            host=upstream.host, url=url, headers={"Accept": "application/json"}, max_redirects=0
        )
        asked = self._clock()
        answer = await self._fetch(request, limit=_ANSWER_LIMIT)
        if answer.status in _REFUSALS:
            raise UpstreamDenied(
                upstream.host,
                f"{upstream.host} gives no token to read {upstream.repository} without credentials "
                f"(its token service answered {answer.status}).",
            )
        if answer.status != 200:
            what = f"a token for {upstream.repository}"
            raise refusal(upstream.host, what, answer.status, answer.headers, answer.body)
        token, lifetime = _read(upstream, answer.body)
        ends = asked + lifetime
        authorization = Authorization(f"Bearer {token}", datetime.fromtimestamp(ends, UTC))
        self._keep(upstream, authorization, ends - min(_RESERVE, lifetime * _RESERVE_SHARE))
        return authorization

    def _keep(self, upstream: Upstream, authorization: Authorization, until: float) -> None:
        self._held[upstream] = (authorization, until)
        self._held.move_to_end(upstream)
        if len(self._held) > _REMEMBERED:
            self._held.popitem(last=False)


def _token_url(upstream: Upstream, headers: list[str]) -> URL:
    host = upstream.host
    try:
        challenges = parse_challenges(headers)
    except InvalidChallenge as error:
        raise UpstreamInvalid(host, f"{host} wants authentication, but its challenge {error}.") from None
    bearer = next((one.parameters for one in challenges if one.scheme == "bearer"), None)
    if bearer is None:
        raise UpstreamDenied(host, f"{host} wants a user name and password to read {upstream.repository}.")
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
