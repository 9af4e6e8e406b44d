"""UserService: users of an organization; their tokens are in `controlplane.api.tokens`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from google.protobuf.empty_pb2 import Empty
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from controlplane.api import audit, find
from controlplane.api.caller import caller
from controlplane.api.errors import already_exists
from controlplane.api.etags import check_etag, etag
from controlplane.api.find import FoundUser
from controlplane.api.masks import masked_fields
from controlplane.api.paging import page, text
from controlplane.api.preview import preview
from controlplane.api.timestamps import timestamp
from controlplane.api.tokens import Tokens
from controlplane.api.validation import Violations
from controlplane.model.database import Database
from controlplane.model.identifiers import check_email, new_uid
from controlplane.model.locks import Hold
from controlplane.model.naming import CustomerName, OrganizationName, UserName
from controlplane.model.roles import Role, parse_role
from controlplane.model.saved import saved_id
from controlplane.model.section import Section
from controlplane.model.tables import Customer, User
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
            user = await find.user(session, name)
            return _message(user, await slugs_of(session, [user.row]))

    async def ListUsers(self, request: pb.ListUsersRequest, _context: object) -> pb.ListUsersResponse:
        """Answer ListUsers."""
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            wanted = page(request, f"{request.parent}/users", violations, text)
        async with self._database.read() as session:
            organization = await find.organization(session, parent)
            statement = (
                select(User)
                .where(User.organization_id == organization.id, col(User.email) > (wanted.after or ""))
                .order_by(col(User.email))
                .limit(wanted.limit)
            )
            rows = (await session.exec(own(statement))).all()
            customers = await slugs_of(session, rows)
        shown, token = wanted.cut(rows, lambda row: row.email)
        return pb.ListUsersResponse(
            users=[_message(FoundUser(organization, row), customers) for row in shown],
            next_page_token=token,
        )

    async def CreateUser(self, request: pb.CreateUserRequest, _context: object) -> pb.User:
        """Answer CreateUser."""
        given = request.user
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            email = violations.check("user.email", check_email, given.email)
            violations.check_text("user.display_name", given.display_name)
            role = violations.check("user.role", parse_role, given.role or Role.READ_ONLY)
            customer = self._customer(given, parent, violations)
        now = self._now()
        try:
            async with self._database.write(keep=not request.validate_only) as session:
                organization = await find.organization(session, parent, hold=Hold.CHANGES)
                row = User(
                    uid=new_uid(),
                    organization_id=saved_id(organization),
                    customer_id=await _customer_id(session, customer),
                    email=email,
                    display_name=given.display_name,
                    role=role,
                    create_time=now,
                    update_time=now,
                )
                session.add(row)
                answer = _message(FoundUser(organization, row), await slugs_of(session, [row]))
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
            user = await find.user(session, name, hold=Hold.CHANGES)
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
            customers = await slugs_of(session, [row])
            answer = _message(user, customers)
            if "customer" in fields and given.customer != answer.customer:
                with Violations() as violations:
                    violations.add("user.customer", "stays as it is: create another user instead.")
            return answer

    async def DeleteUser(self, request: pb.DeleteUserRequest, _context: object) -> Empty:
        """Answer DeleteUser."""
        with Violations() as violations:
            name = violations.check("name", UserName.parse, request.name)
        async with self._database.write() as session:
            user = await find.user(session, name, hold=Hold.GOES)
            check_etag(request.etag, _etag(user.row), str(name))
            await session.delete(user.row)
            by_email = UserName(name.organization, user.row.email)
            audit.deletes(str(user.name), str(by_email))
            await self._database.raise_revision(session, Section.TOKENS)
        return Empty()

    @staticmethod
    def _customer(given: pb.User, parent: OrganizationName, violations: Violations) -> CustomerName | None:
        if not given.customer:
            return None
        name = violations.check("user.customer", CustomerName.parse, given.customer)
        if name is not None and parent is not None and name.organization != parent.organization:
            violations.add("user.customer", f"must be a customer of {parent}.")
        return name


async def _customer_id(session: AsyncSession, name: CustomerName | None) -> int | None:
    """Give the customer that a new user is of: what was named, or that of an administrator of a customer."""
    if name is None:
        return caller().customer_id
    return (await find.customer(session, name, hold=Hold.GOES)).row.id


def own(statement: SelectOfScalar[User]) -> SelectOfScalar[User]:
    """Cut a statement over users down to those that the caller may know of."""
    who = caller()
    if not who.of_customer:
        return statement
    statement = statement.where(User.customer_id == who.customer_id)
    return statement if who.role == Role.ADMIN else statement.where(User.uid == who.user_uid)


async def slugs_of(session: AsyncSession, users: Sequence[User]) -> Mapping[int, str]:
    """Give the ids of the customers that these users are of."""
    keys = {user.customer_id for user in users if user.customer_id is not None}
    if not keys:
        return {}
    rows = await session.exec(select(Customer.id, Customer.slug).where(col(Customer.id).in_(keys)))
    return {key: slug for key, slug in rows if key is not None}


def _message(user: FoundUser, customers: Mapping[int, str]) -> pb.User:
    row = user.row
    customer = "" if row.customer_id is None else customers[row.customer_id]
    return pb.User(
        name=str(user.name),
        uid=row.uid,
        email=row.email,
        display_name=row.display_name,
        role=pb.Role.ValueType(row.role),
        customer=str(CustomerName(user.organization.slug, customer)) if customer else "",
        create_time=timestamp(row.create_time),
        update_time=timestamp(row.update_time),
        etag=_etag(row),
    )


def _etag(row: User) -> str:
    return etag(row.uid, row.email, row.display_name, row.role, row.update_time)
