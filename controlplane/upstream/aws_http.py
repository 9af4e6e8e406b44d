"""How AWS' library speaks HTTP here: it follows no redirect, and reads answers to a limit."""

from typing import Any, Final

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from yarl import URL

# Of a token, or of an error.
_LIMIT: Final = 256 * 1024


class CarefulSession(AIOHTTPSession):  # type: ignore[misc]  # the library ships no types
    """Connections to one endpoint of AWS.

    A redirect is an answer like any other: the library would follow it, to any address, with the signed
    request. An answer that is too long is a broken one.
    """

    async def _get_session(self, proxy_url: str | None) -> "_Requests":
        return _Requests(await super()._get_session(proxy_url))


class _Requests:
    """What the library uses of a session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, method: str, **how: Any) -> "_Response":
        return _Response(await self._session.request(method, **how, allow_redirects=False))


class _Response:
    """What the library uses of a response."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def url(self) -> URL:
        return self._response.url

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return self._response.raw_headers

    async def read(self) -> bytes:
        body = bytearray()
        async with self._response:
            async for chunk in self._response.content.iter_any():
                body += chunk
                if len(body) > _LIMIT:
                    raise aiohttp.ClientPayloadError(f"an answer of more than {_LIMIT} bytes")
        return bytes(body)
