"""Stands between a client and an S3 server, and spoils what comes back."""

import asyncio
import io
import ssl
from typing import Self

import aiohttp
from aiohttp import web

_HOP = frozenset({"connection", "content-length", "expect", "host", "transfer-encoding", "keep-alive"})
_SPOILS = ("stall", "drip", "cut", "flip", "short")


class FaultyBucket:
    """A proxy on a free port; an async context manager. `fault` says what goes wrong, "" for nothing:

    "503" for every request; "hang" never answers; "stall" stops in the middle of a GET's body; "drip" goes on
    from there byte by byte; "cut" ends the connection there; "flip" changes its last byte; "short" leaves it
    out, length and all; "unconditional" pays no heed to If-None-Match, and "501" refuses it; "409" does so
    once, as Amazon where another request is in the way.
    """

    def __init__(self, target: str, tls: ssl.SSLContext | None = None) -> None:
        """Stand before the server at target; with `tls` clients come by https."""
        self.fault = ""
        # Requests that came, as `GET /bucket/key`.
        self.asked: list[str] = []
        self._target = target
        self._tls = tls
        self._over = asyncio.Event()
        self._port = 0
        self._runner: web.ServerRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Listens; after a stop, on the same port as before."""
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Ends every connection and listens no more."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self.stop()
        await self._session.close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if self.fault == "hang":
            await self._over.wait()
        if self.fault == "503":
            return web.Response(status=503, text="<Error><Code>SlowDown</Code></Error>")
        hop = _HOP | {"if-none-match"} if self.fault == "unconditional" else _HOP
        headers = {name: value for name, value in request.headers.items() if name.lower() not in hop}
        if "Expect" in request.headers and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await request.content.read()
        if self.fault == "501" and "If-None-Match" in request.headers:
            return web.Response(status=501, text="<Error><Code>NotImplemented</Code></Error>")
        if self.fault == "409" and {"If-None-Match", "If-Match"} & request.headers.keys():
            self.fault = ""
            return web.Response(status=409, text="<Error><Code>ConditionalRequestConflict</Code></Error>")
        async with self._session.request(
            request.method, self._target + request.path_qs, headers=headers, data=io.BytesIO(body)
        ) as answer:
            content = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            if request.method == "GET" and answer.status in (200, 206) and self.fault in _SPOILS and content:
                return await self._spoil(request, answer.status, kept, content)
            if request.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("Content-Length", "0")
            return web.Response(status=answer.status, headers=kept, body=content)

    async def _spoil(
        self, request: web.BaseRequest, status: int, headers: dict[str, str], content: bytes
    ) -> web.StreamResponse:
        if self.fault == "flip":
            content = content[:-1] + bytes([content[-1] ^ 1])
        if self.fault == "short":
            content = content[:-1]
        response = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(len(content))})
        await response.prepare(request)
        if self.fault in ("flip", "short"):
            await response.write(content)
            return response
        await response.write(content[: len(content) // 2])
        if self.fault == "stall":
            await self._over.wait()
        if self.fault == "drip":
            await self._drip(response, content[len(content) // 2 :])
        assert request.transport is not None
        request.transport.close()
        return response

    async def _drip(self, response: web.StreamResponse, content: bytes) -> None:
        for byte in content:
            if self._over.is_set():
                return
            await response.write(bytes([byte]))
            await asyncio.sleep(0.02)
