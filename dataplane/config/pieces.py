"""Messages of the configuration's stream that come in pieces, put together."""

from collections.abc import AsyncIterator
from typing import Final

from penstock.v1 import node_pb2

# A configuration of the largest size that Penstock is made for takes a tenth of it.
_MOST_BYTES: Final = 512 << 20


class BrokenPieces(Exception):
    """Pieces that do not belong together; `str()` says why."""


async def whole(pieces: AsyncIterator[node_pb2.WatchConfigResponse]) -> node_pb2.WatchConfigResponse:
    """Give the next message of a stream, whole; raises BrokenPieces, and what the stream raises."""
    message = await anext(pieces)
    size = message.ByteSize() if message.continued else 0
    while message.continued:
        piece = await anext(pieces)
        size += piece.ByteSize()
        if piece.WhichOneof("event") != message.WhichOneof("event"):
            raise BrokenPieces("a message was not sent to its end")
        if size > _MOST_BYTES:
            raise BrokenPieces(f"a message is larger than {_MOST_BYTES >> 20} MiB")
        message.continued = piece.continued
        message.MergeFrom(piece)
    return message
