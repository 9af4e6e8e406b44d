"""`penstock version`."""

from importlib.metadata import version as installed

import typer

from clients.cli.command import command
from clients.cli.output import Format, show_json
from clients.cli.session import Session


def add(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "version", "penstock version", "penstock version --output json")(version)


async def version(session: Session) -> None:
    """Print the version of this command."""
    number = installed("penstock")
    if session.output is Format.JSON:
        show_json({"version": number})
    else:
        print(number)
