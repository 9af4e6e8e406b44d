"""Connections that give an answer up which is mostly something else than its body.

Interim answers (1xx), extensions of chunks, chunks of a byte, trailers: HTTP sets them no bound, and each
costs the event loop more than it costs to send.
"""

import asyncio
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler

# Bytes beside its body that an answer may have, and the part of the body that may come on top.
_BESIDE: Final = 1 << 20
_SHARE: Final = 8


class Padded(aiohttp.ClientError):
    """An answer of which too little is its body."""


class Connection(ResponseHandler):
    """One connection, answer by answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._received = 0

    def set_response_params(self, **how: Any) -> None:
        """See ResponseHandler: another answer is to come."""
        self._received = 0
        super().set_response_params(**how)

    def data_received(self, data: bytes) -> None:
        """See Protocol."""
        super().data_received(data)
        self._received += len(data)
        if self._received <= _BESIDE:
            return
        body = 0 if self._payload is None else self._payload.total_bytes
        if self._received - body > _BESIDE + body // _SHARE:
            self._refuse()

    def _refuse(self) -> None:
        padded = Padded("The answer is mostly something else than its body.")
        payload = self._payload
        self.set_exception(padded)
        if payload is not None and not payload.is_eof():
            payload.set_exception(padded)
        if self.transport is not None:
            self.transport.close()


class Connector(aiohttp.TCPConnector):
    """Makes such connections."""

    def __init__(self, resolver: AbstractResolver, per_host: int) -> None:
        """Resolve names so, and have at most so many connections to a host; 0 is any number."""
        super().__init__(resolver=resolver, limit=0, limit_per_host=per_host)
        self._factory = partial(_connection, self._loop)


def _connection(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return Connection(loop)
