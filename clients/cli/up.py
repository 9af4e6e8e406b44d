"""`penstock up`, `penstock controlplane`, `penstock dataplane`: the processes of an installation."""

import asyncio
import os
import signal
import sys
from typing import NoReturn

import typer

from clients.cli.alone import alone
from clients.cli.command import command
from clients.cli.installation import CONTROLPLANE, DATAPLANE, Installation
from clients.cli.output import Format, show_json, show_lines
from clients.cli.session import Session
from clients.cli.supervisor import Supervisor


def add(app: typer.Typer) -> None:
    """Add the three commands."""
    command(app, "up", "penstock up", "PENSTOCK_DATA_DIR=/var/lib/penstock penstock up")(up)
    command(app, "controlplane", "penstock controlplane")(controlplane)
    command(app, "dataplane", "PENSTOCK_ADDRESS=10.0.0.5:8081 penstock dataplane")(dataplane)


async def up(session: Session) -> None:
    """Run everything in one, until Ctrl-C.

    Control plane and data plane run as two processes, with SQLite and files in PENSTOCK_DATA_DIR. One that
    crashes is started again; a setting that is wrong ends both, with exit code 78.
    """
    installation = Installation.of(session.environment)
    supervisor = Supervisor(installation.planes(), installation.for_children(), _say)
    stopping, hurry = asyncio.Event(), asyncio.Event()

    def end() -> None:
        # The second one is from somebody who has waited long enough.
        (hurry if stopping.is_set() else stopping).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    with alone(installation.directory):
        code = await supervisor.run(lambda: announce(installation, session.output), stopping, hurry)
    raise typer.Exit(code)


async def controlplane(session: Session) -> None:
    """Run the control plane.

    It serves the gRPC API, syncs, and takes the place of this process.
    """
    _become(CONTROLPLANE, session)


async def dataplane(session: Session) -> None:
    """Run a data plane: the registry.

    It asks the control plane at PENSTOCK_ADDRESS with the token in PENSTOCK_NODE_TOKEN, by default what
    $PENSTOCK_DATA_DIR/node-token holds, and takes the place of this process.
    """
    _become(DATAPLANE, session)


def announce(installation: Installation, output: Format) -> None:
    """Print where everything is, and what to do next."""
    where = installation.where()
    if output is Format.JSON:
        show_json(where)
    else:
        print("\nPenstock is ready.")
        show_lines((f"  {title}", value) for title, value in where.items())
        print("\nNext, in another terminal:")
        for line in installation.next_commands():
            print(f"  {line}")
        print()
    sys.stdout.flush()


def _say(sentence: str) -> None:
    print(f"penstock: {sentence}", file=sys.stderr, flush=True)


def _become(line: tuple[str, ...], session: Session) -> NoReturn:
    os.execve(line[0], line, dict(session.environment))  # noqa: S606 - our own interpreter, with a fixed command line
