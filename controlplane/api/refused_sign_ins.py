"""The part of AuditService that tells of sign-ins which were refused."""

from datetime import UTC, datetime

from sqlmodel import col, select

from controlplane.api import find
from controlplane.api.everywhere import parse_parent
from controlplane.api.paging import page
from controlplane.api.timestamps import timestamp
from controlplane.api.validation import Violations
from controlplane.model.access_tables import RefusedSignIn
from controlplane.model.database import Database
from penstock.v1 import audit_pb2 as pb

_Key = tuple[datetime, str, str]


class RefusedSignIns:
    """Answers from the table that `controlplane.api.uses` writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListRefusedSignIns(
        self, request: pb.ListRefusedSignInsRequest, _context: object
    ) -> pb.ListRefusedSignInsResponse:
        """Answer ListRefusedSignIns."""
        with Violations() as violations:
            parent = violations.check("parent", parse_parent, request.parent)
            scope = f"{request.parent}/refusedSignIns {request.address} {request.token_uid}"
            wanted = page(request, scope, violations, _read)
            where = violations.check_address("address", request.address) if request.address else ""
        last, address, token = (
            col(RefusedSignIn.last_time),
            col(RefusedSignIn.address),
            col(RefusedSignIn.token_uid),
        )
        statement = select(RefusedSignIn).order_by(last.desc(), address, token).limit(wanted.limit)
        if wanted.after is not None:
            time, before, uid = wanted.after
            later = (address > before) | ((address == before) & (token > uid))
            statement = statement.where((last < time) | ((last == time) & later))
        if where:
            statement = statement.where(address == where)
        if request.token_uid:
            statement = statement.where(token == request.token_uid)
        async with self._database.read() as session:
            if parent is not None:
                organization = await find.organization(session, parent)
                statement = statement.where(RefusedSignIn.organization_id == organization.id)
            rows = (await session.exec(statement)).all()
            shown, next_page = wanted.cut(rows, _written)
            names = await find.names_of(session, {row.organization_id for row in shown})
        return pb.ListRefusedSignInsResponse(
            refused_sign_ins=[_message(row, str(names.get(row.organization_id, ""))) for row in shown],
            next_page_token=next_page,
        )


def _written(row: RefusedSignIn) -> str:
    return f"{row.last_time.isoformat()} {row.address} {row.token_uid}"


def _read(key: str) -> _Key:
    # Of an address, the middle may be anything that a node says.
    written, _, rest = key.partition(" ")
    address, _, token_uid = rest.rpartition(" ")
    time = datetime.fromisoformat(written)
    if time.tzinfo is None:
        raise ValueError("is of no time zone")
    return time.astimezone(UTC), address, token_uid


def _message(row: RefusedSignIn, organization: str) -> pb.RefusedSignIn:
    return pb.RefusedSignIn(
        address=row.address,
        token_uid=row.token_uid,
        organization=organization,
        count=row.count,
        first_time=timestamp(row.first_time),
        last_time=timestamp(row.last_time),
    )
