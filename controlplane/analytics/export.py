"""Pulls as a file: CSV or JSON Lines, in pieces, in memory that does not grow with it."""

import csv
import io
import json
import re
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from controlplane.analytics import listing
from controlplane.analytics.choice import Chosen
from controlplane.analytics.listing import Place
from controlplane.analytics.names import Names
from controlplane.analytics.times import moment
from controlplane.model.database import Database
from penstock.v1.pull_pb2 import PullEvent

# Rows of one piece, read in a transaction of its own: one that lasted as long as the slowest client would
# keep SQLite's log from being cut and PostgreSQL's rows from being cleaned.
_ROWS: Final = 1000
# A spreadsheet takes a cell that begins with one of these for a formula, and a client may say it is any.
# The wide forms are the same to one that is set to Chinese or Japanese. One that divides cells at `;` or
# tabs, as in countries with a decimal comma, finds beginnings in the middle of a value: quotes, which it sees
# elsewhere than they are, do not keep it from that.
_FORMULA: Final = re.compile('(?:^|(?<=[;\t\r\n]))(?=["\\s]*[-=+@\t\r\n\uff1d\uff0b\uff0d\uff20])')

COLUMNS: Final = (
    "Date",
    "Customer",
    "User",
    "Email",
    "Address",
    "Artifact",
    "Version",
    "Kind",
    "Digest",
    "Platform",
    "Platform Digest",
    "Client",
    "Bytes Sent",
    "Warm Blobs",
    "Cold Blobs",
    "Completed",
    "Token",
    "Id",
    "Bytes Redirected",
)
"""Names in CSV; in JSON Lines they are in lower case, with `_` for the space. New ones come last."""
_KEYS: Final = tuple(column.lower().replace(" ", "_") for column in COLUMNS)


class Format(Enum):
    """What a file may be."""

    CSV = "csv"
    JSON_LINES = "jsonl"


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of a file."""

    content: bytes
    pulls: int


async def pieces(database: Database, chosen: Chosen, shape: Format) -> AsyncGenerator[Piece, None]:
    """Give the file, newest pull first; with CSV the first piece is the line of column names.

    Of pulls that come meanwhile those are in it that are older than what was written by then.
    """
    names = Names()
    if shape is Format.CSV:
        yield Piece(_csv([COLUMNS]), 0)
    after: Place | None = None
    while True:
        async with database.read() as session:
            rows = await listing.page(session, chosen, names, after=after, limit=_ROWS)
        if not rows:
            return
        values = [_values(row, names) for row in rows]
        content = _csv(map(_cells, values)) if shape is Format.CSV else _lines(values)
        yield Piece(content, len(rows))
        if len(rows) < _ROWS:
            return
        after = Place.of(rows[-1])


def _values(row: Any, names: Names) -> tuple[str | int | bool, ...]:
    user = names.of(row.user_id)
    at = moment(row.time).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (
        at,
        names.of(row.customer_id).name,
        user.display_name,
        user.name,
        names.of(row.address_id).name,
        names.of(row.artifact_id).name,
        names.of(row.tag_id).name,
        PullEvent.Kind.Name(row.kind).lower(),
        names.of(row.digest_id).name,
        names.of(row.platform_id).name,
        names.of(row.platform_digest_id).name,
        names.of(row.client_id).name,
        row.bytes_sent,
        row.warm_blobs,
        row.cold_blobs,
        bool(row.completed),
        names.of(row.token_id).uid,
        row.event_id.hex(),
        row.bytes_redirected,
    )


def _cells(values: Iterable[str | int | bool]) -> list[str | int]:
    cells: list[str | int] = []
    for value in values:
        if isinstance(value, bool):
            cells.append(str(value).lower())
        elif isinstance(value, str):
            cells.append(_FORMULA.sub("'", value))
        else:
            cells.append(value)
    return cells


def _csv(rows: Iterable[Iterable[str | int]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _lines(rows: Iterable[Iterable[str | int | bool]]) -> bytes:
    return b"".join(
        json.dumps(dict(zip(_KEYS, row, strict=True)), ensure_ascii=False).encode() + b"\n" for row in rows
    )
