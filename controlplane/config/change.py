"""Configurations, and what turns one into a later one, as messages in pieces; pure."""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from controlplane.config.held import Held
from controlplane.model.section import Section
from penstock.v1 import config_pb2, node_pb2

# Bytes of entries in one message: well below the 4 MiB that gRPC takes by default.
PIECE: Final = 3 << 20
_LENGTH_DELIMITED: Final = 2

_MessageT = TypeVar("_MessageT", bound=Message)


def whole(held: Held, piece: int = PIECE) -> list[node_pb2.WatchConfigResponse]:
    """Give a configuration as snapshot, in the order of the entries' uids."""
    fields = config_pb2.Configuration.DESCRIPTOR
    records = (
        _record(fields, section, entry)
        for section in Section
        for _, entry in sorted(held.sections[section].items())
    )
    return _responses(
        node_pb2.WatchConfigResponse(
            snapshot=_read(config_pb2.Configuration(revision=held.revision), content)
        )
        for content in _cut(records, piece)
    )


def difference(old: Held, new: Held, piece: int = PIECE) -> list[node_pb2.WatchConfigResponse]:
    """Give the change that makes `new` of `old`: entries added or altered, and uids that are gone.

    It may be empty but for the revisions: a revision counts changes of rows, and not each is seen by nodes.
    """
    return _responses(
        node_pb2.WatchConfigResponse(
            change=_read(
                config_pb2.ConfigurationChange(from_revision=old.revision, to_revision=new.revision), content
            )
        )
        for content in _cut(_changes(old, new), piece)
    )


def _changes(old: Held, new: Held) -> Iterator[bytes]:
    fields = config_pb2.ConfigurationChange.DESCRIPTOR
    for section in Section:
        before, after = old.sections[section], new.sections[section]
        if before is after:
            continue
        altered = [uid for uid, entry in after.items() if before.get(uid) != entry]
        for uid in sorted(altered):
            yield _record(fields, section, after[uid])
        for uid in sorted(before.keys() - after.keys()):
            yield _record(fields, f"removed_{section.removesuffix('s')}_uids", uid.encode())


def _read(message: _MessageT, content: bytes) -> _MessageT:
    message.MergeFromString(content)
    return message


def _record(fields: Descriptor, name: str, content: bytes) -> bytes:
    """Give one element of a repeated field as it stands in its message.

    Messages and strings alike are a tag, a length and their bytes (protobuf's encoding), so that pieces are
    put together without taking entries apart.
    """
    tag = fields.fields_by_name[name].number << 3 | _LENGTH_DELIMITED
    return _varint(tag) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _cut(records: Iterable[bytes], piece: int) -> Iterator[bytes]:
    """Join records to pieces of about this many bytes; there is always one, empty if need be."""
    gathered: list[bytes] = []
    size = 0
    for record in records:
        if gathered and size + len(record) > piece:
            yield b"".join(gathered)
            gathered, size = [], 0
        gathered.append(record)
        size += len(record)
    yield b"".join(gathered)


def _responses(
    pieces: Iterable[node_pb2.WatchConfigResponse],
) -> list[node_pb2.WatchConfigResponse]:
    responses = list(pieces)
    for response in responses[:-1]:
        response.continued = True
    return responses
