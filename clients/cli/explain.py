"""`penstock explain`."""

from contextlib import suppress
from typing import Annotated
from urllib.parse import urlsplit

import typer

from clients.cli.command import command
from clients.cli.failure import Failure
from clients.cli.output import Format, document, show_json, show_lines
from clients.cli.session import Session
from clients.control.errors import translated
from clients.process.cleartext import SETTING as CLEARTEXT_SETTING
from clients.process.cleartext import is_here
from clients.process.exits import Exit
from penstock.v1.entitlement_pb2 import ExplainPullRequest, ExplainPullResponse


def _outcome(step: ExplainPullResponse.Step) -> str:
    return ExplainPullResponse.Outcome.Name(step.outcome).lower()


def node_url(text: str, *, cleartext: bool) -> str:
    """Check the address of a node's own port, like https://node-1.internal:8083; raises Failure.

    `cleartext` allows one by http that is not this machine, where others could read a token.
    """
    with suppress(ValueError):
        parts = urlsplit(text)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            origin = f"{parts.scheme}://{parts.netloc}"
            if "@" not in origin and text.rstrip("/") == origin:
                if parts.scheme == "http" and not cleartext and not is_here(parts.hostname):
                    raise Failure(_exposed(origin), Exit.USAGE)
                return origin
    raise Failure(f"{text!r} is no node: give its own port, like http://node-1.internal:8083.", Exit.USAGE)


def _exposed(origin: str) -> str:
    return (
        f"The token would be sent in clear to {origin}, for everybody on the way to read: ask on the node's"
        " machine (--node http://127.0.0.1:8083) or through a tunnel, by https:// where something in front of"
        f" the node speaks it, or set {CLEARTEXT_SETTING}=true where nobody else can read the network."
    )


def add(app: typer.Typer) -> None:
    """Add `penstock explain`."""
    command(
        app,
        "explain",
        "penstock explain --token-id 01234567-89ab-4cde-8f01-23456789abcd acme/app:1.2.3",
        "penstock explain --token-id ... --node https://node-1.internal:8083 acme/app:1.2.3",
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
    node: Annotated[
        list[str] | None,
        typer.Option(
            help="Own port of a node, like http://127.0.0.1:8083, or by https; may be given again.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Say why a pull is allowed or refused.

    Each --node is asked what it has of the image, as the owner of PENSTOCK_TOKEN.
    """
    organization = reference.partition("/")[0]
    if ":" in organization or organization == "localhost":
        raise Failure(
            f"{reference!r} begins with a registry's address: write it without, like acme/app:1.2.3.",
            Exit.USAGE,
        )
    request = ExplainPullRequest(
        parent=f"organizations/{organization}", token_uid=token_id, reference=reference
    )
    nodes = [node_url(text, cleartext=session.cleartext) for text in node or ()]
    async with session.control() as control:
        with translated():
            answer = await control.entitlements.ExplainPull(request)
    if nodes:
        # What asks nodes takes longer to import than all the rest takes to run.
        from clients.cli.cached import cached_where  # noqa: PLC0415

        answer.steps.extend(await cached_where(nodes, session.token(), reference, session.trust.https()))
    if session.output is Format.JSON:
        show_json(document(answer))
        return
    show_lines((f"{step.check} ({_outcome(step)})", step.finding) for step in answer.steps)
    print("The pull is allowed." if answer.allowed else "The pull is refused.")
