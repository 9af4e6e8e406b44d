"""Writes the pulls that the API streams to a file or to standard output, and shows how far it is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from clients.cli.failure import Failure
from clients.cli.output import Format, show_json
from clients.control.client import ControlClient
from clients.control.errors import translated
from penstock.v1 import pull_pb2 as pb


class FileFormat(StrEnum):
    """What `--format` takes."""

    CSV = "csv"
    JSON_LINES = "jsonl"

    @property
    def wire(self) -> pb.ExportPullsRequest.Format.ValueType:
        """What the API calls it."""
        return pb.ExportPullsRequest.CSV if self is FileFormat.CSV else pb.ExportPullsRequest.JSON_LINES


async def save(
    control: ControlClient, request: pb.ExportPullsRequest, path: str | None, output: Format
) -> None:
    """Write the export; a file has its name only when it is whole. Raises ControlError and Failure."""
    if path is None:
        await _copy(control, request, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    try:
        with _written(Path(path)) as file:
            pulls = await _copy(control, request, file)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {(error.strerror or str(error)).lower()}.") from error
    if output is Format.JSON:
        show_json({"file": path, "pulls": pulls})
    else:
        print(f"Wrote {pulls} pulls to {path}.")


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    """Give what becomes the file of this path at the end of the block; nothing does where that fails."""
    if path.exists() and not path.is_file():
        # A device or a pipe, which a file must not take the place of.
        with path.open("wb") as file:
            yield file
        return
    target = path.resolve()
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


async def _copy(control: ControlClient, request: pb.ExportPullsRequest, file: BinaryIO) -> int:
    written = 0
    with _shown() as show, translated():
        total = 0
        async for piece in control.pulls.ExportPulls(request):
            total = max(total, piece.total)
            file.write(piece.content)
            written += piece.pulls
            show(written, total)
    return written


@contextmanager
def _shown() -> Iterator[Callable[[int, int], None]]:
    """Give what shows how many of how many there are: a bar at a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _written, _total: None
        return
    columns = (TextColumn("pulls"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        task = progress.add_task("pulls", total=None)
        yield lambda written, total: progress.update(task, total=total, completed=written)
