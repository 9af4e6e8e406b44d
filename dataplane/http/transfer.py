"""Sends the head and body of an answer on a Tornado connection: by the kernel where the body is in a file."""

import asyncio
from collections.abc import Callable
from typing import Final

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, ResponseStartLine

from dataplane.http.message import FileBody, FilePart, Stream, is_in_file
from dataplane.http.pace import Pace
from dataplane.http.sendfile import FileFailed, FileStream

# Bytes after which it is counted what was sent.
_MOST: Final = 64 << 20


async def send(
    connection: HTTP1Connection,
    start_line: ResponseStartLine,
    headers: HTTPHeaders,
    body: Stream,
    sent: Callable[[int], None],
    begun: Callable[[], None],
    pace: Pace | None = None,
) -> None:
    """Send all of it as fast as the client takes it, at most at its pace.

    `sent` is told of body bytes, and `begun` is called when the head is on its way.

    Raises StreamClosedError where the client left, and what the body raises; the connection is of no more
    use after that. Cancelled, it closes the connection, so that nothing is sent from a file that is closed.
    """
    stream = connection.stream
    if is_in_file(body) and isinstance(stream, FileStream) and (part := await body.part()):
        stream.cork()
        # Not waited for: it is on its way before the part.
        connection.write_headers(start_line, headers)
        begun()
        await _send_parts(connection, stream, body, part, sent, pace)
    else:
        await connection.write_headers(start_line, headers)
        begun()
    wait = 0.0 if pace is None else pace.pay(0)
    while (chunk := await body.read()) is not None:
        if pace is not None:
            # Before more, and not after the last: whoever has all of it may hang up, and has taken it.
            await asyncio.sleep(wait)
        # Tornado's annotation knows bytes only; its streams take a memoryview as it is.
        await connection.write(chunk)  # type: ignore[arg-type]
        sent(len(chunk))
        if pace is not None:
            wait = pace.pay(len(chunk))


async def _send_parts(
    connection: HTTP1Connection,
    stream: FileStream,
    body: FileBody,
    part: FilePart | None,
    sent: Callable[[int], None],
    pace: Pace | None,
) -> None:
    try:
        while part is not None:
            try:
                stop = min(part.stop, part.start + _MOST)
                sending = stream.send_part(part.descriptor, part.start, stop, pace)
                if sending is not None:
                    await sending
            except FileFailed:
                # The disk fails; the body may find its way round it.
                return
            finally:
                count = stream.part_taken
                body.skip(count)
                sent(count)
                _settle(connection, count)
            part = await body.part()
    except BaseException:
        stream.close()
        raise


def _settle(connection: HTTP1Connection, count: int) -> None:
    # Tornado counts what its own `write` is given, and refuses to finish an answer that lacks bytes.
    remaining = connection._expected_content_remaining
    if remaining is not None:
        connection._expected_content_remaining = remaining - count
