"""`penstock cache`: a node's cache, on the node's machine."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from clients.cli.command import application, command
from clients.cli.failure import Failure
from clients.cli.output import Format, show_json, show_lines, show_rows
from clients.cli.session import Session
from clients.process.duration import parse_duration
from clients.process.exits import Exit
from clients.process.size import parse_size

app = application("cache", "Blobs on a node's disk; run on its machine.")

# The command knows no plane: what knows the cache's files is a program of the data plane.
_TOOL: Final = (sys.executable, "-m", "dataplane.tool")
_STEP: Final = 10
_RIGHT: Final = {True: "yes", False: "no, dropped", None: "cannot be read"}

Row = dict[str, Any]
Digests = Annotated[
    list[str] | None, typer.Argument(metavar="DIGEST", help="Like sha256:...", show_default=False)
]


@command(app, "list", "penstock cache list")
async def list_(session: Session) -> None:
    """List the blobs, those that were used last first."""
    rows = [row async for row in _rows(session, "list")]
    columns = ("digest", "bytes", "last used")
    show_rows(
        rows, columns, lambda row: (row["digest"], str(row["size"]), _time(row["used"])), session.output
    )


@command(app, "stats", "penstock cache stats")
async def stats(session: Session) -> None:
    """Show how much there is, and how much there may be."""
    (found,) = [row async for row in _rows(session, "stats")]
    if session.output is Format.JSON:
        show_json(found)
        return
    show_lines(
        (
            ("folder", found["path"]),
            ("bucket behind it", found["bucket"]),
            ("blobs", str(found["blobs"])),
            ("bytes", str(found["size"])),
            ("most bytes", str(found["max_size"] or "any number")),
            ("free on the disk", str(found["free"])),
            ("to stay free", str(found["min_free"])),
            ("being fetched", str(found["fetching"])),
            ("oldest use", "" if found["oldest_use"] is None else _time(found["oldest_use"])),
        )
    )


@command(
    app,
    "evict",
    "penstock cache evict sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b",
)
async def evict(
    session: Session,
    digests: Digests = None,
    all_: Annotated[bool, typer.Option("--all", help="All blobs.")] = False,
    unused_for: Annotated[
        str | None,
        typer.Option(
            "--unused-for", help="Blobs that were not used for so long, like 30d.", show_default=False
        ),
    ] = None,
) -> None:
    """Remove blobs, pinned ones as well, but none that is being read.

    They are fetched again when somebody asks for them. Ends with exit code 1 where one that was named is
    still there, or never was.
    """
    if sum((bool(digests), all_, unused_for is not None)) != 1:
        raise Failure("Give one of these: digests, --all, --unused-for.", Exit.USAGE)
    options = [*(digests or ())]
    if all_:
        # Also what was used in this very second.
        options = ["--unused-for", "-60"]
    elif unused_for is not None:
        options = ["--unused-for", str(_seconds(unused_for))]
    rows = [row async for row in _rows(session, "evict", *options)]
    columns = ("digest", "bytes", "evicted")
    show_rows(
        rows,
        columns,
        lambda row: (row["digest"], str(row["size"]), "yes" if row["evicted"] else "no, it is being read"),
        session.output,
    )
    _check_found(digests, rows)
    if kept := sorted(row["digest"] for row in rows if digests and not row["evicted"]):
        raise Failure(f"Still there, as somebody is reading it: {', '.join(kept)}. Try again later.")


@command(app, "verify", "penstock cache verify")
async def verify(
    session: Session,
    digests: Digests = None,
    rate: Annotated[
        str | None,
        typer.Option("--rate", help="The most bytes a second to read, like 50MiB.", show_default=False),
    ] = None,
) -> None:
    """Read blobs again, all by default, and drop those whose bytes have changed.

    It ends with exit code 1 where there were any, which are fetched again when somebody asks for them; where
    the disk failed to give one; and where one that was named is not there.
    """
    options = [] if rate is None else ["--rate", str(_bytes(rate))]
    rows, told = [], 0
    async with aclosing(_rows(session, "verify", *options, *(digests or ()))) as found:
        async for row in found:
            done, total = row.pop("done"), row.pop("total")
            step = 100 * done // total // _STEP if total else 0
            if step > told:
                told = step
                print(f"verified {done} of {total} bytes", file=sys.stderr, flush=True)
            rows.append(row)
    columns = ("digest", "bytes", "right")
    show_rows(
        rows,
        columns,
        lambda row: (row["digest"], str(row["size"]), _RIGHT[row["right"]]),
        session.output,
    )
    rotten, unreadable = (sum(row["right"] is wrong for row in rows) for wrong in (False, None))
    if rotten or unreadable:
        raise Failure(
            f"{rotten} of {len(rows)} blobs were rotten, and were dropped; {unreadable} could not be read,"
            " which the system's log says more of."
        )
    _check_found(digests, rows)


def _check_found(digests: list[str] | None, rows: list[Row]) -> None:
    if missing := set(digests or ()) - {row["digest"] for row in rows}:
        raise Failure(f"Not in the cache: {', '.join(sorted(missing))}.")


async def _rows(session: Session, *arguments: str) -> AsyncGenerator[Row, None]:
    process = await asyncio.create_subprocess_exec(
        *_TOOL, *arguments, stdout=PIPE, stderr=PIPE, env=dict(session.environment)
    )
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    assert process.stderr is not None  # noqa: S101 - as above
    errors = asyncio.create_task(process.stderr.read())
    try:
        async for line in process.stdout:
            yield json.loads(line)
        code = await process.wait()
        if code:
            sentence = (await errors).decode(errors="replace").strip().splitlines()
            raise Failure(sentence[-1] if sentence else "The cache could not be looked at.", _exit(code))
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        await errors


def _exit(code: int) -> Exit:
    return Exit(code) if code in set(Exit) else Exit.FAILED


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _seconds(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise Failure(f"--unused-for: {error}.", Exit.USAGE) from error


def _bytes(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise Failure(f"--rate: {error}.", Exit.USAGE) from error
