"""UserService: users of an organization; their tokens are in `controlplane.api.tokens`."""

from collections.abc import Callable
from datetime import datetime

from google.protobuf.empty_pb2 import Empty
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from controlplane.api import find
from controlplane.api.errors import already_exists
from controlplane.api.etags import check_etag, etag
from controlplane.api.find import FoundUser
from controlplane.api.masks import masked_fields
from controlplane.api.paging import page
from controlplane.api.preview import preview
from controlplane.api.timestamps import timestamp
from controlplane.api.tokens import Tokens
from controlplane.api.validation import Violations
from controlplane.model.database import Database
from controlplane.model.naming import OrganizationName, UserName, check_email, new_uid
from controlplane.model.roles import Role, parse_role
from controlplane.model.saved import saved_id
from controlplane.model.section import Section
from controlplane.model.tables import User
from penstock.v1 import user_pb2 as pb
from penstock.v1.user_pb2_grpc import UserServiceServicer


class UserServicer(Tokens, UserServiceServicer):
    """Answers from the tables of users and tokens; `now` is the time of day in UTC."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        super().__init__(database, now)
        self._database = database
        self._now = now

    async def GetUser(self, request: pb.GetUserRequest, _context: object) -> pb.User:
        """Answer GetUser."""
        with Violations() as violations:
            name = violations.check("name", UserName.parse, request.name)
        async with self._database.read() as session:
            return _message(await find.user(session, name))

    async def ListUsers(self, request: pb.ListUsersRequest, _context: object) -> pb.ListUsersResponse:
        """Answer ListUsers."""
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            wanted = page(request, f"{request.parent}/users", violations)
        async with self._database.read() as session:
            organization = await find.organization(session, parent)
            found = await session.exec(
                select(User)
                .where(User.organization_id == organization.id, col(User.email) > wanted.after)
                .order_by(col(User.email))
                .limit(wanted.limit)
            )
            rows = found.all()
        shown, token = wanted.cut(rows, lambda row: row.email)
        return pb.ListUsersResponse(
            users=[_message(FoundUser(organization, row)) for row in shown], next_page_token=token
        )

    async def CreateUser(self, request: pb.CreateUserRequest, _context: object) -> pb.User:
        """Answer CreateUser."""
        given = request.user
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            email = violations.check("user.email", check_email, given.email)
            violations.check_text("user.display_name", given.display_name)
            role = violations.check("user.role", parse_role, given.role or Role.READ_ONLY)
        now = self._now()
        try:
            async with self._database.write(keep=not request.validate_only) as session:
                organization = await find.organization(session, parent, change=True)
                row = User(
                    uid=new_uid(),
                    organization_id=saved_id(organization),
                    email=email,
                    display_name=given.display_name,
                    role=role,
                    create_time=now,
                    update_time=now,
                )
                session.add(row)
                answer = _message(FoundUser(organization, row))
        except IntegrityError as error:
            name = str(UserName(parent.organization, email))
            raise already_exists(
                "USER_EXISTS", f"There is {name} already: an address has one user.", name=name
            ) from error
        if request.validate_only:
            answer.name = str(UserName(parent.organization, email))
            return preview(answer)
        return answer

    async def UpdateUser(self, request: pb.UpdateUserRequest, _context: object) -> pb.User:
        """Answer UpdateUser."""
        given = request.user
        with Violations() as violations:
            name = violations.check("user.name", UserName.parse, given.name)
            fields = masked_fields(request.update_mask, given, violations)
            violations.check_text("user.display_name", given.display_name)
            role = violations.check("user.role", parse_role, given.role or Role.READ_ONLY)
        async with self._database.write(keep=not request.validate_only) as session:
            user = await find.user(session, name, change=True)
            row = user.row
            if "email" in fields and given.email.lower() != row.email:
                with Violations() as violations:
                    violations.add("user.email", f"stays {row.email}: create another user instead.")
            check_etag(given.etag, _etag(row), str(name))
            before = (row.display_name, row.role)
            if "display_name" in fields:
                row.display_name = given.display_name
            if "role" in fields and role != row.role:
                row.role = role
                await self._database.raise_revision(session, Section.TOKENS)
            if (row.display_name, row.role) != before:
                row.update_time = self._now()
            return _message(user)

    async def DeleteUser(self, request: pb.DeleteUserRequest, _context: object) -> Empty:
        """Answer DeleteUser."""
        with Violations() as violations:
            name = violations.check("name", UserName.parse, request.name)
        async with self._database.write() as session:
            user = await find.user(session, name, change=True)
            check_etag(request.etag, _etag(user.row), str(name))
            await session.delete(user.row)
            await self._database.raise_revision(session, Section.TOKENS)
        return Empty()


def _message(user: FoundUser) -> pb.User:
    row = user.row
    return pb.User(
        name=str(user.name),
        uid=row.uid,
        email=row.email,
        display_name=row.display_name,
        role=pb.Role.ValueType(row.role),
        create_time=timestamp(row.create_time),
        update_time=timestamp(row.update_time),
        etag=_etag(row),
    )


def _etag(row: User) -> str:
    return etag(row.uid, row.email, row.display_name, row.role, row.update_time)
