"""`penstock login-hint`: the line that lets a container engine in."""

import shlex
from typing import Annotated

import typer

from clients.cli.command import command
from clients.cli.output import Format, show_json
from clients.cli.places import REGISTRY_SETTING, listening
from clients.cli.session import TOKEN_SETTING, Session
from clients.process.listen import Address
from clients.process.place import ADMIN_TOKEN_FILE, data_dir


def add(app: typer.Typer) -> None:
    """Add the command."""
    command(
        app,
        "login-hint",
        "penstock login-hint",
        'eval "$(penstock login-hint)"',
        "penstock login-hint --registry registry.example.com:443",
    )(login_hint)


async def login_hint(
    session: Session,
    registry: Annotated[
        str | None,
        typer.Option(
            "--registry", help="Where clients reach the registry.", show_default=f"${REGISTRY_SETTING}"
        ),
    ] = None,
) -> None:
    """Print the docker login line for this registry.

    It logs in with your own token, from PENSTOCK_TOKEN or the data directory, without showing it; where
    there is none it asks for one.
    """
    if registry is None:
        host = str(listening(session.environment, REGISTRY_SETTING).dialled)
    else:
        host = str(Address.parse(registry, "--registry", "registry.example.com:443"))
    line = _line(host, session)
    if session.output is Format.JSON:
        show_json({"registry": host, "command": line})
    else:
        print(line)


def _line(host: str, session: Session) -> str:
    # The user name counts for nothing: the token says who it is.
    login = f"docker login {host} -u -"
    if session.environment.get(TOKEN_SETTING):
        return f"printenv {TOKEN_SETTING} | {login} --password-stdin"
    path = data_dir(session.environment) / ADMIN_TOKEN_FILE
    if path.exists():
        return f"{login} --password-stdin < {shlex.quote(str(path))}"
    return login
