"""`penstock nodes`."""

import sys
from typing import Annotated

import typer

from clients.cli.command import application, command
from clients.cli.output import Field, Format, document, moment, show, show_deleted, show_json, show_list
from clients.cli.session import Session
from clients.control import names
from clients.control.errors import translated
from clients.control.paging import iterate
from penstock.v1.node_pb2 import (
    CreateNodeRequest,
    DeleteNodeRequest,
    GetNodeRequest,
    ListNodesRequest,
    Node,
)

app = application("nodes", "Data-plane processes that were admitted.")

FIELDS: tuple[Field[Node], ...] = (
    Field("node", lambda it: names.last(it.name)),
    Field("last seen", lambda it: moment(it, "last_seen_time")),
    Field("revision", lambda it: str(it.revision)),
    Field("version", lambda it: it.version),
    Field("refused", lambda it: it.config_error),
    Field("passed over", lambda it: str(it.passed_over_count or "")),
    Field("last passed over", lambda it: it.passed_over, listed=False),
    Field("created", lambda it: moment(it, "create_time"), listed=False),
)

IdArgument = Annotated[str, typer.Argument(metavar="NODE", help="Its id, like eu-1.", show_default=False)]


@command(app, "create", "penstock nodes create eu-1 > node-token")
async def create(session: Session, node: IdArgument) -> None:
    """Admit a node and print its token, once.

    It stands alone on standard output, and is never shown again.
    """
    request = CreateNodeRequest(node_id=names.last(names.node(node)))
    async with session.control() as control:
        with translated():
            created = await control.nodes.CreateNode(request)
    if session.output is Format.JSON:
        show_json(document(created))
        return
    print(created.secret)
    if sys.stdout.isatty():
        print("Give it to the node as PENSTOCK_NODE_TOKEN now: it is not shown again.", file=sys.stderr)


@command(app, "get", "penstock nodes get local")
async def get(session: Session, node: IdArgument) -> None:
    """Show a node and the configuration it runs."""
    async with session.control() as control:
        with translated():
            found = await control.nodes.GetNode(GetNodeRequest(name=names.node(node)))
    show(found, FIELDS, session.output)


@command(app, "list", "penstock nodes list")
async def list_all(session: Session) -> None:
    """List the nodes."""
    async with session.control() as control:
        await show_list(
            iterate(control.nodes.ListNodes, ListNodesRequest(), lambda page: page.nodes),
            FIELDS,
            session.output,
        )


@command(app, "delete", "penstock nodes delete eu-1")
async def delete(session: Session, node: IdArgument) -> None:
    """Delete a node: its token is refused from then on."""
    name = names.node(node)
    async with session.control() as control:
        with translated():
            await control.nodes.DeleteNode(DeleteNodeRequest(name=name))
    show_deleted(name, session.output)
