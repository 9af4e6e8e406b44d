"""What all connections of a server share."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tornado.http1connection import HTTP1ConnectionParameters

from clients.process.proxies import Proxies
from clients.process.request_id import RequestIds
from dataplane.http.limits import Hits
from dataplane.http.message import Answer, FileAnswer, Request
from dataplane.http.timings import Timings

if TYPE_CHECKING:
    from dataplane.http.sweep import Watched

Answerer = Callable[[Request], Awaitable[Answer]]
Quick = Callable[[bytes, bytes, str], bytes | FileAnswer | None]
"""Answers at once, from a request line, a block of header lines that each end with CRLF, and the IP address
that the connection is from; None for whatever is not both ordinary and warm, and nothing has happened."""


class Others(Protocol):
    """Processes that serve on the same port."""

    def start(self, take: Callable[[socket.socket, Any], None]) -> None:
        """Have `take` called with each connection that one of them gives away, and its client's address."""
        ...

    def stop(self) -> None:
        """Take none any more."""
        ...

    def has(self, connections: int) -> None:
        """Note how many connections are open here."""
        ...

    def give(self, connection: socket.socket) -> bool:
        """Give one of them a connection if it has fewer; False, and it stays open, if none is to have it."""
        ...


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
    others: Others | None = None
    """What else serves on the same port."""
    proxies: Proxies = field(default_factory=Proxies)
    """Whose word is taken for whom a request is from."""
    connections: "set[Watched]" = field(default_factory=set)
    """All that are open."""
    active: "set[asyncio.Future[None]]" = field(default_factory=set)
    """What is being answered."""
    serving: "set[asyncio.Task[None]]" = field(default_factory=set)
    """What waits for requests, or for active ones."""

    def opened(self, connection: "Watched") -> None:
        """Note a connection that is open."""
        self.connections.add(connection)
        if self.others is not None:
            self.others.has(len(self.connections))

    def closed(self, connection: "Watched") -> None:
        """Note that a connection is not open any more; may be called again."""
        self.connections.discard(connection)
        if self.others is not None:
            self.others.has(len(self.connections))

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Start what serves a connection."""
        task = asyncio.create_task(work)
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)
