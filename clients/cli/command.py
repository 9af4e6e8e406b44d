"""How commands are made: from async functions, each with `--output`, examples and a session."""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Concatenate, Final, ParamSpec

import typer

from clients.cli.failure import explain
from clients.cli.output import Format
from clients.cli.session import Session
from clients.control.diagnosis import diagnose
from clients.control.errors import ControlError, Unreachable

P = ParamSpec("P")

OutputOption = Annotated[
    Format | None,
    typer.Option("--output", "-o", help="How to print; taken at any place.", show_default="table"),
]

_KEYWORD: Final = inspect.Parameter.KEYWORD_ONLY
_CONTEXT: Final = inspect.Parameter("context", _KEYWORD, annotation=typer.Context)
_OUTPUT: Final = inspect.Parameter("output", _KEYWORD, default=None, annotation=OutputOption)


def application(name: str, summary: str) -> typer.Typer:
    """Make a group of commands, which takes `--output` itself and prints its help when given nothing."""
    app = typer.Typer(
        name=name,
        help=summary,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )

    @app.callback()
    def choose(context: typer.Context, output: OutputOption = None) -> None:
        remember(context, output)

    return app


def remember(context: typer.Context, output: Format | None) -> None:
    """Keep the output that was asked for at this level for those below, which may ask for another."""
    context.obj = output or context.obj


def command(
    app: typer.Typer, name: str, *examples: str
) -> Callable[
    [Callable[Concatenate[Session, P], Awaitable[None]]], Callable[Concatenate[Session, P], Awaitable[None]]
]:
    """Make an async function a command of this name.

    Its docstring is the help text, `examples` are whole command lines that are shown below it. The first
    parameter is the session, the others are what Typer makes of them. A ControlError becomes a Failure.
    """

    def decorate(
        function: Callable[Concatenate[Session, P], Awaitable[None]],
    ) -> Callable[Concatenate[Session, P], Awaitable[None]]:
        def run(*, context: typer.Context, output: Format | None, **arguments: Any) -> None:
            remember(context, output)
            session = Session(os.environ, context.obj or Format.TABLE)
            asyncio.run(_called(session, function, arguments))

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        parameters = [_CONTEXT, *(parameter.replace(kind=_KEYWORD) for parameter in own), _OUTPUT]
        # Typer reads both: the signature for the options, the annotations for their types.
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # any function has one
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, help=inspect.getdoc(function), epilog=_epilog(examples))(run)
        return function

    return decorate


async def _called(
    session: Session, function: Callable[..., Awaitable[None]], arguments: dict[str, Any]
) -> None:
    try:
        await function(session, **arguments)
    except ControlError as error:
        unreachable = isinstance(error, Unreachable)
        why = await diagnose(session.target, session.trust) if unreachable else ""
        raise explain(error, str(session.target), why) from error


def _epilog(examples: tuple[str, ...]) -> str:
    # \b keeps the lines as they are.
    return "\n".join(("\b", "Examples:", *(f"  {example}" for example in examples)))
