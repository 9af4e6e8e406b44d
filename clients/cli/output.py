"""Prints what the API answered: tables for people, proto JSON for scripts."""

import json
import shutil
import sys
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Any, Generic, TypeVar

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients.cli.encoding import takes_all

NONE = "-"
_UNBOUNDED = 100_000

M = TypeVar("M", bound=Message)


class Format(StrEnum):
    """What `--output` takes."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Field(Generic[M]):
    """One line of a resource, and one column of a list of them where `listed`."""

    title: str
    value: Callable[[M], str]
    listed: bool = True


def show(message: M, fields: Sequence[Field[M]], output: Format) -> None:
    """Print one resource."""
    if output is Format.JSON:
        show_json(document(message))
        return
    show_lines((field.title, field.value(message)) for field in fields)


async def show_list(messages: AsyncIterable[M], fields: Sequence[Field[M]], output: Format) -> None:
    """Print a list: an array, written as it comes in; or a table, when all is known."""
    if output is Format.JSON:
        await _show_array(messages)
        return
    columns = [field for field in fields if field.listed]
    rows = [[field.value(message) for field in columns] async for message in messages]
    table = _table(header=True)
    for column in columns:
        table.add_column(Text(column.title.upper(), style="bold"), overflow="fold")
    for row in rows:
        table.add_row(*map(_plain, row))
    _print(table)


def show_rows(
    rows: Sequence[Mapping[str, object]],
    titles: Sequence[str],
    cells: Callable[[Mapping[str, Any]], Sequence[str]],
    output: Format,
) -> None:
    """Print values that are no messages: an array; or a table with these columns, of what cells gives."""
    if output is Format.JSON:
        print(_dumps(rows))
        return
    table = _table(header=True)
    for title in titles:
        table.add_column(Text(title.upper(), style="bold"), overflow="fold")
    for row in rows:
        table.add_row(*map(_plain, cells(row)))
    _print(table)


def show_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Print titles and values, aligned."""
    table = _table(header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, value in lines:
        table.add_row(title, _plain(value))
    _print(table)


def show_json(value: Mapping[str, object]) -> None:
    """Print an object, its keys in alphabetical order: the same for every value."""
    print(_dumps(value))


def show_deleted(name: str, output: Format) -> None:
    """Print that something is no more; an empty object, as the API answers, in JSON."""
    if output is Format.JSON:
        show_json({})
    else:
        print(f"Deleted {name}.")


def document(message: Message) -> dict[str, object]:
    """Give proto JSON with the names of the .proto files; every field without presence is there."""
    found: dict[str, object] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return found


def moment(message: Message, field: str) -> str:
    """Give a time as `2026-11-23T13:09:12Z`, `-` where the message has none."""
    if not message.HasField(field):
        return NONE
    timestamp: Timestamp = getattr(message, field)
    return timestamp.ToDatetime(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


async def _show_array(messages: AsyncIterable[M]) -> None:
    # A list may be far longer than what memory should hold.
    separator = "[\n"
    async for message in messages:
        sys.stdout.write(separator + _indented(_dumps(document(message))))
        separator = ",\n"
    print("[]" if separator == "[\n" else "\n]")


def _dumps(value: Mapping[str, object] | Sequence[Mapping[str, object]]) -> str:
    # Escapes of JSON's own, where the encoding lacks characters.
    return json.dumps(value, indent=2, ensure_ascii=not takes_all(), sort_keys=True)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def _plain(value: str) -> Text:
    # Values may come from an upstream: neither markup nor control characters of theirs count.
    return Text("".join(c if c.isprintable() else " " for c in value) or NONE)


def _table(*, header: bool) -> Table:
    return Table(box=None, show_header=header, padding=(0, 3, 0, 0), pad_edge=False)


def _print(table: Table) -> None:
    # Only a terminal has an edge to wrap at; a pipe gets every row on one line.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNBOUNDED
    console = Console(file=sys.stdout, width=width, highlight=False)
    with console.capture() as captured:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
