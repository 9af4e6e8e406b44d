"""Sources for the blob cache that follow a script, turn by turn, without a socket."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from clients.oci.errors import UpstreamError, UpstreamUnavailable
from tests.fakes.blobs import Blob


@dataclass
class Turn:
    """What one upstream request gets: the blob to its end, unless something here says otherwise."""

    # Instead of an answer.
    refused: UpstreamError | None = None
    # Breaks off, or ends as if all was well, after this many bytes of this answer.
    cut_after: int | None = None
    end_after: int | None = None
    # Waits for the gate after this many bytes of this answer.
    pause_after: int | None = None
    gate: asyncio.Event | None = None
    # Where the answer starts, whatever was asked for.
    offset: int | None = None
    # The total size that the answer states; None states none.
    size: int | None = -1
    # Another blob's bytes.
    blob: Blob | None = None
    # What one chunk holds at most.
    chunk: int = 64 * 1024


@dataclass
class ScriptedStream:
    """See dataplane.blobs.source.Stream."""

    turn: Turn
    blob: Blob
    offset: int
    size: int | None
    stop: int | None = None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        sent = 0
        marks = [self.turn.cut_after, self.turn.end_after, self.turn.pause_after]
        for block in self.blob.read(self.offset, self.blob.size if self.stop is None else self.stop):
            at = 0
            while at < len(block):
                if sent == self.turn.pause_after and self.turn.gate is not None:
                    await self.turn.gate.wait()
                if sent == self.turn.cut_after:
                    raise UpstreamUnavailable("registry.example", "registry.example broke the transfer off.")
                if sent == self.turn.end_after:
                    return
                until = [mark - sent for mark in marks if mark is not None and mark > sent]
                chunk = block[at : at + min([self.turn.chunk, *until])]
                # As a socket would.
                await asyncio.sleep(0)
                yield chunk
                at += len(chunk)
                sent += len(chunk)


class ScriptedSource:
    """Gives a blob as its turns say, one for each request, and without faults after the last of them."""

    def __init__(self, blob: Blob, *turns: Turn) -> None:
        self.blob = blob
        # The offsets that were asked for.
        self.asked: list[int] = []
        # Where the answers were to end; None for the blob's end.
        self.stops: list[int | None] = []
        self._turns = list(turns)

    def __str__(self) -> str:
        return "registry.example/team/app"

    @asynccontextmanager
    async def open(self, offset: int, stop: int | None = None) -> AsyncIterator[ScriptedStream]:
        self.asked.append(offset)
        self.stops.append(stop)
        turn = self._turns.pop(0) if self._turns else Turn()
        await asyncio.sleep(0)
        if turn.refused is not None:
            raise turn.refused
        blob = turn.blob or self.blob
        start = offset if turn.offset is None else turn.offset
        yield ScriptedStream(turn, blob, start, blob.size if turn.size == -1 else turn.size, stop)
