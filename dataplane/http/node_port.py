"""The node's own port: is it alive, is it ready, what does it count."""

import json
from collections.abc import Callable
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST

from dataplane.config.state import ConfigState
from dataplane.http.message import Answer, Request

_TEXT: Final = (("Content-Type", "text/plain; charset=utf-8"),)
_JSON: Final = (("Content-Type", "application/json"),)
_NEWER: Final = (("Cache-Control", "no-store"),)


class NodePort:
    """Answers `/healthz`, `/readyz` and `/metrics`, to anybody who can reach it."""

    def __init__(self, state: ConfigState, exposition: Callable[[], bytes]) -> None:
        self._state = state
        self._exposition = exposition
        self.draining = False
        """Set once the node is stopping: it is then alive, and no longer ready."""

    async def answer(self, request: Request) -> Answer:
        """Answer a GET or HEAD."""
        if request.method not in ("GET", "HEAD"):
            return Answer.whole(405, (*_TEXT, ("Allow", "GET, HEAD")), b"Only GET and HEAD.\n")
        match request.target.partition("?")[0]:
            case "/healthz":
                return Answer.whole(200, _TEXT + _NEWER, b"ok\n")
            case "/readyz":
                return self._readiness()
            case "/metrics":
                return Answer.whole(200, (("Content-Type", CONTENT_TYPE_LATEST), *_NEWER), self._exposition())
            case _:
                return Answer.whole(404, _TEXT, b"Here are /healthz, /readyz and /metrics.\n")

    def _readiness(self) -> Answer:
        state = self._state
        ready = state.configuration is not None and not self.draining
        details = {
            "ready": ready,
            "draining": self.draining,
            "configuration": {
                "revision": state.revision,
                "age_seconds": None if state.age is None else round(state.age, 3),
                "interruption": state.interruption,
                "refusal": state.refusal,
            },
        }
        body = json.dumps(details, indent=2).encode() + b"\n"
        return Answer.whole(200 if ready else 503, _JSON + _NEWER, body)
