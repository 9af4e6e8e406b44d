"""What all connections of a server share."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tornado.http1connection import HTTP1ConnectionParameters

from clients.process.request_id import RequestIds
from dataplane.http.limits import Hits
from dataplane.http.message import Answer, FileAnswer, Request
from dataplane.http.timings import Timings

if TYPE_CHECKING:
    from dataplane.http.sweep import Watched

Answerer = Callable[[Request], Awaitable[Answer]]
Quick = Callable[[bytes, bytes, str], bytes | FileAnswer | None]
"""Answers at once, from a request line, a block of header lines that each end with CRLF, and the client's
IP address; None for whatever is not both ordinary and warm, and nothing has happened then."""


@dataclass(slots=True)
class Service:
    """How requests are answered, and what is going on."""

    answer: Answerer
    sent: Callable[[int], None]
    """Is told of body bytes that were handed to the kernel."""
    quick: Quick | None
    """None while only `answer` answers."""
    parameters: HTTP1ConnectionParameters
    hits: Hits = field(default_factory=Hits)
    ids: RequestIds = field(default_factory=RequestIds)
    """Names for requests whose clients gave none."""
    traced: bool = False
    """Whether what `answer` answers begins traces."""
    timings: Timings = field(default_factory=Timings)
    """How long `answer` and what follows take."""
    quick_answers: int = 0
    """Answers that `quick` gave."""
    connections: "set[Watched]" = field(default_factory=set)
    """All that are open."""
    active: "set[asyncio.Future[None]]" = field(default_factory=set)
    """What is being answered."""
    serving: "set[asyncio.Task[None]]" = field(default_factory=set)
    """What waits for requests, or for active ones."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Start what serves a connection."""
        task = asyncio.create_task(work)
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)
