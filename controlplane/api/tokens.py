"""The part of UserService that is about access tokens.

Whoever is no ADMIN sees their own, and is told so where they ask for another's.
"""

from collections.abc import Callable
from datetime import datetime

from google.protobuf.empty_pb2 import Empty
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.control.token import TokenKind, new_token, sha256
from controlplane.api import find
from controlplane.api.audit import creates
from controlplane.api.caller import caller
from controlplane.api.errors import denied, not_found
from controlplane.api.find import FoundUser
from controlplane.api.paging import number, page
from controlplane.api.preview import preview
from controlplane.api.timestamps import moment, timestamp
from controlplane.api.validation import Violations
from controlplane.model.database import Database
from controlplane.model.identifiers import ANY_USER, new_uid
from controlplane.model.locks import Hold
from controlplane.model.naming import OrganizationName, TokenName, UserName
from controlplane.model.roles import Role, parse_role
from controlplane.model.saved import saved_id
from controlplane.model.section import Section
from controlplane.model.tables import AccessToken, Organization, User
from penstock.v1 import user_pb2 as pb


class Tokens:
    """Answers from the table of tokens; `now` is the time of day in UTC."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def CreateToken(self, request: pb.CreateTokenRequest, _context: object) -> pb.CreateTokenResponse:
        """Answer CreateToken."""
        given = request.token
        with Violations() as violations:
            parent = violations.check("parent", UserName.parse, request.parent)
            violations.check_text("token.label", given.label)
            expire_time = self._expire_time(given, violations)
            if given.role:
                violations.check("token.role", parse_role, given.role)
        secret = new_token(TokenKind.USER)
        async with self._database.write(keep=not request.validate_only) as session:
            user = await find.user(session, parent, hold=Hold.CHANGES)
            if given.role > user.row.role:
                with Violations() as violations:
                    violations.add("token.role", f"must not be above the user's, {Role(user.row.role)}.")
            row = AccessToken(
                uid=new_uid(),
                user_id=saved_id(user.row),
                sha256=sha256(secret),
                hint=secret[-4:],
                label=given.label,
                role=given.role or None,
                expire_time=expire_time,
                create_time=self._now(),
            )
            session.add(row)
            await self._database.raise_revision(session, Section.TOKENS)
            answer = _message(user.name, row)
            creates(answer.name)
        if request.validate_only:
            return pb.CreateTokenResponse(token=preview(answer))
        return pb.CreateTokenResponse(token=answer, secret=secret)

    async def GetToken(self, request: pb.GetTokenRequest, _context: object) -> pb.Token:
        """Answer GetToken."""
        with Violations() as violations:
            name = violations.check("name", TokenName.parse, request.name)
        async with self._database.read() as session:
            user = await find.user(session, name.user)
            _refuse_others(user)
            return _message(user.name, await _find(session, user, name))

    async def ListTokens(self, request: pb.ListTokensRequest, _context: object) -> pb.ListTokensResponse:
        """Answer ListTokens."""
        with Violations() as violations:
            parent = violations.check("parent", UserName.parse, request.parent)
            wanted = page(request, f"{request.parent}/tokens", violations, number)
        statement = (
            select(AccessToken, User)
            .where(AccessToken.user_id == User.id)
            .order_by(col(AccessToken.id).desc())
            .limit(wanted.limit)
        )
        if wanted.after is not None:
            statement = statement.where(col(AccessToken.id) < wanted.after)
        async with self._database.read() as session:
            organization: Organization
            if parent.user == ANY_USER:
                organization = await find.organization(session, OrganizationName(parent.organization))
                statement = statement.where(User.organization_id == organization.id)
                if caller().role != Role.ADMIN:
                    statement = statement.where(User.uid == caller().user_uid)
                if caller().of_customer:
                    statement = statement.where(User.customer_id == caller().customer_id)
            else:
                user = await find.user(session, parent)
                _refuse_others(user)
                organization = user.organization
                statement = statement.where(User.id == user.row.id)
            rows = (await session.exec(statement)).all()
        shown, token = wanted.cut(rows, lambda row: str(saved_id(row[0])))
        return pb.ListTokensResponse(
            tokens=[_message(UserName(organization.slug, owner.uid), row) for row, owner in shown],
            next_page_token=token,
        )

    async def DeleteToken(self, request: pb.DeleteTokenRequest, _context: object) -> Empty:
        """Answer DeleteToken."""
        with Violations() as violations:
            name = violations.check("name", TokenName.parse, request.name)
        async with self._database.write() as session:
            user = await find.user(session, name.user)
            await session.delete(await _find(session, user, name))
            await self._database.raise_revision(session, Section.TOKENS)
        return Empty()

    def _expire_time(self, given: pb.Token, violations: Violations) -> datetime | None:
        if not given.HasField("expire_time"):
            return None
        try:
            expire_time = moment(given.expire_time)
        except ValueError:
            expire_time = None
        if expire_time is None or expire_time <= self._now():
            violations.add("token.expire_time", "must be in the future, or left out: it then never expires.")
        return expire_time


def _refuse_others(user: FoundUser) -> None:
    if caller().role != Role.ADMIN and caller().user_uid != user.row.uid:
        raise denied("NOT_YOUR_TOKENS", f"Tokens of {user.name} are for that user and for administrators.")


async def _find(session: AsyncSession, user: FoundUser, name: TokenName) -> AccessToken:
    found = await session.exec(
        select(AccessToken).where(AccessToken.uid == name.uid, AccessToken.user_id == user.row.id)
    )
    row = found.first()
    if row is None:
        raise not_found("TOKEN_UNKNOWN", f"There is no {name}.", name=str(name))
    return row


def _message(user: UserName, row: AccessToken) -> pb.Token:
    return pb.Token(
        name=str(TokenName(user, row.uid)),
        uid=row.uid,
        label=row.label,
        role=pb.Role.ValueType(row.role or pb.ROLE_UNSPECIFIED),
        expire_time=timestamp(row.expire_time),
        create_time=timestamp(row.create_time),
        hint=row.hint,
        last_use_time=timestamp(row.last_use_time),
        last_use_address=row.last_use_address,
    )
