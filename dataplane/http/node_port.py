"""The node's own port: is it alive, is it ready, what does it count, what has it of an image."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST

from clients.process.scraping import ScrapeToken
from dataplane.http.message import Answer, Request

CACHED: Final = "/cached/"
"""What the path begins with that `http.cached` answers."""

_TEXT: Final = (("Content-Type", "text/plain; charset=utf-8"),)
_REFUSED: Final = b"Metrics are shown to who has the token that PENSTOCK_METRICS_TOKEN is.\n"
_JSON: Final = (("Content-Type", "application/json"),)
_NEWER: Final = (("Cache-Control", "no-store"),)

_UNKNOWN: Final = Answer.whole(404, _TEXT, b"Here are /healthz, /readyz and /metrics.\n")


class NodePort:
    """Answers `/healthz`, `/readyz` and, to who has the token, `/metrics`; `/cached/` to members.

    `readiness` gives whether the node is ready, and what is told about that; `cached` what `http.cached`
    says, or raises TimeoutError.
    """

    def __init__(
        self,
        readiness: Callable[[], Awaitable[tuple[bool, dict[str, Any]]]],
        exposition: Callable[[], Awaitable[bytes]],
        cached: Callable[[Request], Awaitable[bytes | None]],
        token: ScrapeToken,
    ) -> None:
        self._token = token
        self._readiness = readiness
        self._exposition = exposition
        self._cached = cached

    async def answer(self, request: Request) -> Answer:
        """Answer a GET or HEAD."""
        if request.method not in ("GET", "HEAD"):
            return Answer.whole(405, (*_TEXT, ("Allow", "GET, HEAD")), b"Only GET and HEAD.\n")
        match request.target.partition("?")[0]:
            case "/healthz":
                return Answer.whole(200, _TEXT + _NEWER, b"ok\n")
            case "/readyz":
                ready, details = await self._readiness()
                body = json.dumps(details, indent=2).encode() + b"\n"
                return Answer.whole(200 if ready else 503, _JSON + _NEWER, body)
            case "/metrics" if not self._token.admits(request.authorization):
                return Answer.whole(401, (*_TEXT, ("WWW-Authenticate", "Bearer")), _REFUSED)
            case "/metrics":
                headers = (("Content-Type", CONTENT_TYPE_LATEST), *_NEWER)
                return Answer.whole(200, headers, await self._exposition())
            case path if path.startswith(CACHED):
                try:
                    found = await self._cached(request)
                except TimeoutError:
                    return Answer.whole(503, _TEXT + _NEWER, b"No worker of this node answered in time.\n")
                return _UNKNOWN if found is None else Answer.whole(200, _JSON + _NEWER, found)
            case _:
                return _UNKNOWN
