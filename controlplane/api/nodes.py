"""The part of NodeService that admits nodes; what nodes themselves ask is in `controlplane.api.node`."""

from collections.abc import Callable
from datetime import datetime

from google.protobuf.empty_pb2 import Empty
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.control.token import TokenKind, new_token, sha256
from controlplane.api.errors import already_exists, not_found
from controlplane.api.paging import page, text
from controlplane.api.preview import preview
from controlplane.api.timestamps import timestamp
from controlplane.api.validation import Violations
from controlplane.model.database import Database
from controlplane.model.identifiers import check_node_id, new_uid
from controlplane.model.naming import NodeName
from controlplane.model.tables import Node
from penstock.v1 import node_pb2 as pb


class NodeAdmin:
    """Answers from the node table; `now` is the time of day in UTC, `deleted` hears that a node was."""

    def __init__(
        self, database: Database, now: Callable[[], datetime], deleted: Callable[[], None] = lambda: None
    ) -> None:
        self._database = database
        self._now = now
        self._deleted = deleted

    async def GetNode(self, request: pb.GetNodeRequest, _context: object) -> pb.Node:
        """Answer GetNode."""
        with Violations() as violations:
            name = violations.check("name", NodeName.parse, request.name)
        async with self._database.read() as session:
            return _message(await _find(session, name))

    async def ListNodes(self, request: pb.ListNodesRequest, _context: object) -> pb.ListNodesResponse:
        """Answer ListNodes."""
        with Violations() as violations:
            wanted = page(request, "nodes", violations, text)
        async with self._database.read() as session:
            found = await session.exec(
                select(Node)
                .where(col(Node.node_id) > (wanted.after or ""))
                .order_by(col(Node.node_id))
                .limit(wanted.limit)
            )
            rows = found.all()
        shown, token = wanted.cut(rows, lambda row: row.node_id)
        return pb.ListNodesResponse(nodes=[_message(row) for row in shown], next_page_token=token)

    async def CreateNode(self, request: pb.CreateNodeRequest, _context: object) -> pb.CreateNodeResponse:
        """Answer CreateNode."""
        with Violations() as violations:
            node_id = violations.check("node_id", check_node_id, request.node_id)
        secret = new_token(TokenKind.NODE)
        row = Node(uid=new_uid(), node_id=node_id, sha256=sha256(secret), create_time=self._now())
        try:
            async with self._database.write(keep=not request.validate_only) as session:
                session.add(row)
                answer = _message(row)
        except IntegrityError as error:
            name = str(NodeName(node_id))
            raise already_exists(
                "NODE_EXISTS", f"There is {name} already: choose another id.", name=name
            ) from error
        if request.validate_only:
            return pb.CreateNodeResponse(node=preview(answer))
        return pb.CreateNodeResponse(node=answer, secret=secret)

    async def DeleteNode(self, request: pb.DeleteNodeRequest, _context: object) -> Empty:
        """Answer DeleteNode; streams of the node end before their next message."""
        with Violations() as violations:
            name = violations.check("name", NodeName.parse, request.name)
        async with self._database.write() as session:
            await session.delete(await _find(session, name))
        self._deleted()
        return Empty()


async def _find(session: AsyncSession, name: NodeName) -> Node:
    row = (await session.exec(select(Node).where(Node.node_id == name.node))).first()
    if row is None:
        raise not_found("NODE_UNKNOWN", f"There is no {name}.", name=str(name))
    return row


def _message(row: Node) -> pb.Node:
    return pb.Node(
        name=str(NodeName(row.node_id)),
        uid=row.uid,
        create_time=timestamp(row.create_time),
        last_seen_time=timestamp(row.last_seen_time),
        revision=row.revision,
        config_error=row.config_error,
        version=row.version,
        passed_over_count=row.passed_over_count,
        passed_over=row.passed_over,
    )
