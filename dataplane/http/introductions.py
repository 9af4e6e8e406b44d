"""Connections of which a proxy has yet to say whose they are."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import Final

from dataplane.http.limits import Hits
from dataplane.http.proxy_header import BadProxyHeader, read_proxy_header

_LOG = logging.getLogger(__name__)

# Seconds from one complaint to the next: a proxy that is set up otherwise brings every connection so.
_RARELY: Final = 60.0


class Introductions:
    """Reads the header of each connection, and has `serve` called with it and its client's IP address.

    One whose header is not there after so many seconds, or is none, is closed and counted.
    """

    def __init__(self, serve: Callable[[socket.socket, str], None], seconds: float, hits: Hits) -> None:
        self._serve = serve
        self._seconds = seconds
        self._hits = hits
        self._tasks: set[asyncio.Task[None]] = set()
        self._complained = -_RARELY

    def __len__(self) -> int:
        """Connections that wait for theirs."""
        return len(self._tasks)

    def begin(self, connection: socket.socket, peer: str) -> None:
        """Take over a connection that comes from the proxy at `peer`."""
        task = asyncio.create_task(self._introduce(connection, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Close those that wait."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _introduce(self, connection: socket.socket, peer: str) -> None:
        try:
            connection.settimeout(0)
            async with asyncio.timeout(self._seconds):
                client = await read_proxy_header(connection)
        except BadProxyHeader as error:
            self._complain(connection, peer, str(error))
        except TimeoutError:
            self._complain(connection, peer, f"nothing of it has come in {self._seconds:g} s")
        except (EOFError, OSError):
            # Load balancers look whether somebody listens, and hang up.
            connection.close()
        except BaseException:
            connection.close()
            raise
        else:
            self._serve(connection, client or peer)

    def _complain(self, connection: socket.socket, peer: str, why: str) -> None:
        connection.close()
        self._hits.proxy_header += 1
        now = time.monotonic()
        if now - self._complained >= _RARELY:
            self._complained = now
            _LOG.warning(
                "A connection from %s is closed, as it has no header of the PROXY protocol: %s. Have the"
                " proxy there send one (HAProxy: send-proxy-v2; nginx: proxy_protocol on), or unset"
                " PENSTOCK_PROXY_PROTOCOL, or leave it out of PENSTOCK_TRUSTED_PROXIES.",
                peer,
                why,
            )
