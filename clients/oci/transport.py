"""HTTP to upstreams: every request of Penstock to a registry or token service goes through here.

What holds for all of them: addresses are checked before anything is sent, at every hop; Authorization
goes to the first URL's origin only, and never again once a redirect has left it; TLS is not left on the
way; every body that is read whole is bounded, in size and in time; nothing is decompressed.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
from yarl import URL

from clients.oci.address import AddressRefused, is_public, parse_address
from clients.oci.breaker import Breakers
from clients.oci.connection import Connector
from clients.oci.errors import NotAsked, UntrustedTls, UpstreamBroken, UpstreamInvalid, UpstreamUnavailable
from clients.oci.failure import retry_after, translated
from clients.oci.origin import ForbiddenUrl, Origin, check_redirect, follow
from clients.oci.outcomes import Outcomes
from clients.oci.rate import Rates
from clients.oci.request import Answer, Request, Timeouts
from clients.oci.resolver import GuardedResolver
from clients.oci.retry import RETRIED_STATUSES, Retry
from clients.oci.token import Tokens
from clients.oci.trust import TrustStore
from clients.process import tracing

logger = logging.getLogger(__name__)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Bytes of an error's body that are read; the rest is left.
_ERROR_BODY = 16 * 1024
_READ_BUFFER = 256 * 1024


class Transport:
    """Connections to upstreams, kept and reused; an async context manager, shared by all of a process.

    `allow_private` lets requests go to loopback and private addresses; `connections_per_host` bounds how
    many are open to one host (0 is any number). `clock` gives seconds and is never set; `now` gives those
    since the epoch.
    `tokens` are what was found out of authentication through it, `breakers` tell which hosts are left alone,
    `rates` what they said of their limits.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
        connections_per_host: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._allow_private = allow_private
        self.timeouts = timeouts or Timeouts()
        """How long anything is waited for."""
        self._retry = retry or Retry()
        self._connections_per_host = connections_per_host
        self._trust = TrustStore(ssl_context)
        self._sleep = sleep
        self.tokens = Tokens(self.fetch, clock, now)
        self.breakers = Breakers(clock)
        self.rates = Rates(clock)
        self.outcomes = Outcomes()
        # One for each answer to "may it be private", so that a connection which was opened under the one
        # rule is never used under the other.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.tokens.close()
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Sends a request once, follows redirects, and gives the answer with its body unread.

        Raises UpstreamError where there is no answer; an answer of any status is given. The caller reads
        the body inside `translated`.
        """
        with translated(request.host):
            async with asyncio.timeout(self.timeouts.total):
                response = await self._follow(request)
        try:
            yield response
        finally:
            response.release()
            await response.wait_for_close()

    async def fetch(self, request: Request, *, limit: int) -> Answer:
        """Sends a request, reads the body of at most `limit` bytes, and tries again where it may help.

        An answer of any status is given, a 5xx after the last attempt. Raises UpstreamError.
        """
        for pause in self._retry.pauses():
            try:
                answer = await self._fetch_once(request, limit)
            except UpstreamBroken as error:
                logger.debug("asking %s again in %.2f s: %s", request.host, pause, error)
            else:
                wait = retry_after(answer.headers) or 0
                if answer.status not in RETRIED_STATUSES or wait > self._retry.longest:
                    return answer
                pause = max(pause, wait)
            await self._sleep(pause)
        return await self._fetch_once(request, limit)

    async def _fetch_once(self, request: Request, limit: int) -> Answer:
        if request.attempted is not None:
            request.attempted()
        try:
            async with asyncio.timeout(self.timeouts.total), self.open(request) as response:
                if Origin.of(response.url) == Origin.of(request.url):
                    self.rates.note(request.account, response.status, response.headers)
                with translated(request.host):
                    body = await _read(response, request, limit)
                return Answer(response.status, response.headers, response.url, body)
        except TimeoutError as error:
            raise UpstreamUnavailable(request.host, f"{request.host} did not answer in time.") from error

    async def _follow(self, request: Request) -> aiohttp.ClientResponse:
        url, authorization = request.url, request.authorization
        for _ in range(request.max_redirects + 1):
            response = await self._send(request, url, authorization)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return response
            response.release()
            try:
                target = follow(url, location)
                check_redirect(request.url, target)
            except ForbiddenUrl as error:
                raise UpstreamInvalid(
                    request.host, f"{request.host} redirects to a URL that {error}, which is not followed."
                ) from None
            if Origin.of(target) != Origin.of(url):
                authorization = ""
            url = target
        raise UpstreamInvalid(request.host, f"{request.host} redirects more often than is followed.")

    async def _send(self, request: Request, url: URL, authorization: str) -> aiohttp.ClientResponse:
        allow_private = self._allow_private if request.allow_private is None else request.allow_private
        address = parse_address(url.raw_host or "")
        # The connector does not ask the resolver about literal addresses.
        if address is not None and not allow_private and not is_public(address):
            raise AddressRefused(url.raw_host or "", address)
        headers = {**request.headers, "Accept-Encoding": "identity"}
        if authorization:
            headers["Authorization"] = authorization
        session = self._session(allow_private=allow_private)
        own = _host(url) == (request.ca_host or _host(request.url))
        trust = self._trust.context(request.ca_certificates, own=own)
        asked = {"http.request.method": request.method, "server.address": url.raw_host or ""}
        with (
            self.breakers.watch(_watched(request, url), request.host) as outcome,
            tracing.ask(request.method, asked) as span,
        ):
            # Where it redirects to is nobody's whom the trace concerns.
            if span.traceparent and Origin.of(url) == Origin.of(request.url):
                headers[tracing.HEADER] = span.traceparent
            try:
                with translated(request.host):
                    response = await session.request(
                        request.method, url, headers=headers, allow_redirects=False, ssl=trust
                    )
            except UpstreamUnavailable as error:
                # A bundle that does not vouch for it is the fault of who gave it: others go on.
                own_fault = isinstance(error, UntrustedTls) and request.ca_certificates
                if not isinstance(error, NotAsked) and not own_fault:
                    outcome.problem = str(error)
                self.outcomes.note(request.host, None)
                raise
            self.outcomes.note(request.host, response.status)
            span.set({"http.response.status_code": response.status})
            if not (response.status == 500 and request.of_content):
                failed = response.status in RETRIED_STATUSES
                outcome.problem = f"{request.host} answered {response.status}." if failed else ""
        # The query may be a signature.
        logger.debug("%s %s: %d", request.method, url.with_query(None), response.status)
        return response

    def _session(self, *, allow_private: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(allow_private)
        if session is None:
            resolver = GuardedResolver(allow_private=allow_private, timeout=self.timeouts.connect)
            session = self._sessions[allow_private] = aiohttp.ClientSession(
                connector=Connector(resolver, self._connections_per_host),
                # Bounds the parts; the whole is bounded above, and for a blob not at all.
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self.timeouts.connect, sock_read=self.timeouts.idle
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=_READ_BUFFER,
                headers={"User-Agent": "penstock"},
            )
        return session


def _watched(request: Request, url: URL) -> str:
    # Who redirects to a host says nothing of it to others: there may be anything at that URL.
    own, origin = request.url.origin(), url.origin()
    return str(own) if origin == own else f"{origin} for {own}"


def _host(url: URL) -> str:
    return (url.raw_host or "").lower()


async def _read(response: aiohttp.ClientResponse, request: Request, limit: int) -> bytes:
    good = response.status < 300
    if good:
        check_encoding(response, request.host)
    else:
        limit = _ERROR_BODY
    body = bytearray()
    while len(body) <= limit:
        chunk = await response.content.read(limit + 1 - len(body))
        if not chunk:
            return bytes(body)
        body += chunk
    if good:
        raise UpstreamInvalid(request.host, f"{request.host} gave an answer of more than {limit} bytes.")
    return bytes(body[:limit])


def check_encoding(response: aiohttp.ClientResponse, host: str) -> None:
    """Raises UpstreamInvalid for a body that was compressed on the way, which nobody asked for."""
    if response.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
        raise UpstreamInvalid(host, f"{host} compressed its answer, so that it cannot be verified.")
