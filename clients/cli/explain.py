"""`penstock explain`."""

from typing import Annotated

import typer

from clients.cli.command import command
from clients.cli.output import Format, document, show_json, show_lines
from clients.cli.session import Session
from clients.control.errors import translated
from penstock.v1.entitlement_pb2 import ExplainPullRequest, ExplainPullResponse


def _outcome(step: ExplainPullResponse.Step) -> str:
    return ExplainPullResponse.Outcome.Name(step.outcome).lower()


def add(app: typer.Typer) -> None:
    """Add `penstock explain`."""
    command(
        app, "explain", "penstock explain --token-id 01234567-89ab-4cde-8f01-23456789abcd acme/app:1.2.3"
    )(explain)


async def explain(
    session: Session,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REFERENCE", help="What would be pulled, like acme/app:1.2.3.", show_default=False
        ),
    ],
    token_id: Annotated[
        str,
        typer.Option("--token-id", help="The token's id, as `tokens list` shows it.", show_default=False),
    ],
) -> None:
    """Say why a pull is allowed or refused."""
    request = ExplainPullRequest(
        parent=f"organizations/{reference.partition('/')[0]}", token_uid=token_id, reference=reference
    )
    async with session.control() as control:
        with translated():
            answer = await control.entitlements.ExplainPull(request)
    if session.output is Format.JSON:
        show_json(document(answer))
        return
    show_lines((f"{step.check} ({_outcome(step)})", step.finding) for step in answer.steps)
    print("The pull is allowed." if answer.allowed else "The pull is refused.")
