"""CustomerService: those whom an organization hands images to."""

from collections.abc import Callable
from datetime import datetime

from google.protobuf.empty_pb2 import Empty
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.api import find
from controlplane.api.caller import caller
from controlplane.api.errors import already_exists, precondition
from controlplane.api.etags import check_etag, etag
from controlplane.api.find import FoundCustomer
from controlplane.api.masks import masked_fields
from controlplane.api.paging import page, text
from controlplane.api.preview import preview
from controlplane.api.timestamps import timestamp
from controlplane.api.validation import Violations
from controlplane.model.access_tables import Entitlement
from controlplane.model.database import Database
from controlplane.model.identifiers import check_customer_id, new_uid
from controlplane.model.locks import Hold, lock
from controlplane.model.naming import CustomerName, OrganizationName
from controlplane.model.saved import saved_id
from controlplane.model.section import Section
from controlplane.model.tables import Customer, User
from penstock.v1 import customer_pb2 as pb
from penstock.v1.customer_pb2_grpc import CustomerServiceServicer


class CustomerServicer(CustomerServiceServicer):
    """Answers from the table of customers; `now` is the time of day in UTC."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def GetCustomer(self, request: pb.GetCustomerRequest, _context: object) -> pb.Customer:
        """Answer GetCustomer."""
        with Violations() as violations:
            name = violations.check("name", CustomerName.parse, request.name)
        async with self._database.read() as session:
            return _message(await find.customer(session, name))

    async def ListCustomers(
        self, request: pb.ListCustomersRequest, _context: object
    ) -> pb.ListCustomersResponse:
        """Answer ListCustomers."""
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            wanted = page(request, f"{request.parent}/customers", violations, text)
        async with self._database.read() as session:
            organization = await find.organization(session, parent)
            statement = (
                select(Customer)
                .where(Customer.organization_id == organization.id, col(Customer.slug) > (wanted.after or ""))
                .order_by(col(Customer.slug))
                .limit(wanted.limit)
            )
            if caller().of_customer:
                statement = statement.where(Customer.id == caller().customer_id)
            rows = (await session.exec(statement)).all()
        shown, token = wanted.cut(rows, lambda row: row.slug)
        return pb.ListCustomersResponse(
            customers=[_message(FoundCustomer(organization, row)) for row in shown], next_page_token=token
        )

    async def CreateCustomer(self, request: pb.CreateCustomerRequest, _context: object) -> pb.Customer:
        """Answer CreateCustomer."""
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            slug = violations.check("customer_id", check_customer_id, request.customer_id)
            display_name = violations.check_text("customer.display_name", request.customer.display_name)
        now = self._now()
        try:
            async with self._database.write(keep=not request.validate_only) as session:
                organization = await find.organization(session, parent, hold=Hold.CHANGES)
                row = Customer(
                    uid=new_uid(),
                    organization_id=saved_id(organization),
                    slug=slug,
                    display_name=display_name,
                    create_time=now,
                    update_time=now,
                )
                session.add(row)
                await self._database.raise_revision(session, Section.CUSTOMERS)
                answer = _message(FoundCustomer(organization, row))
        except IntegrityError as error:
            name = str(CustomerName(parent.organization, slug))
            raise already_exists(
                "CUSTOMER_EXISTS", f"There is {name} already: choose another id.", name=name
            ) from error
        return preview(answer) if request.validate_only else answer

    async def UpdateCustomer(self, request: pb.UpdateCustomerRequest, _context: object) -> pb.Customer:
        """Answer UpdateCustomer."""
        given = request.customer
        with Violations() as violations:
            name = violations.check("customer.name", CustomerName.parse, given.name)
            fields = masked_fields(request.update_mask, given, violations)
            violations.check_text("customer.display_name", given.display_name)
        async with self._database.write(keep=not request.validate_only) as session:
            found = await find.customer(session, name, hold=Hold.CHANGES)
            check_etag(given.etag, _etag(found.row), str(name))
            if "display_name" in fields and given.display_name != found.row.display_name:
                found.row.display_name = given.display_name
                found.row.update_time = self._now()
            return _message(found)

    async def DeleteCustomer(self, request: pb.DeleteCustomerRequest, _context: object) -> Empty:
        """Answer DeleteCustomer."""
        with Violations() as violations:
            name = violations.check("name", CustomerName.parse, request.name)
        async with self._database.write() as session:
            found = await find.customer(session, name, hold=Hold.GOES)
            check_etag(request.etag, _etag(found.row), str(name))
            if not request.force:
                await _refuse_unless_empty(session, found)
            await lock(session, col(User.id), Hold.GOES, col(User.customer_id) == found.row.id)
            # Entitlements go by the database, with the customer; users do not, so as not to go unnoticed.
            await session.exec(delete(User).where(col(User.customer_id) == found.row.id))
            await lock(session, col(Entitlement.id), Hold.GOES, col(Entitlement.customer_id) == found.row.id)
            await session.delete(found.row)
            await self._database.raise_revision(
                session, Section.CUSTOMERS, Section.TOKENS, Section.ENTITLEMENTS
            )
        return Empty()


def _message(found: FoundCustomer) -> pb.Customer:
    row = found.row
    return pb.Customer(
        name=str(found.name),
        uid=row.uid,
        display_name=row.display_name,
        create_time=timestamp(row.create_time),
        update_time=timestamp(row.update_time),
        etag=_etag(row),
    )


def _etag(row: Customer) -> str:
    return etag(row.uid, row.display_name, row.update_time)


async def _refuse_unless_empty(session: AsyncSession, found: FoundCustomer) -> None:
    users = await session.exec(select(func.count()).select_from(User).where(User.customer_id == found.row.id))
    entitlements = await session.exec(
        select(func.count()).select_from(Entitlement).where(Entitlement.customer_id == found.row.id)
    )
    counts = {"users": users.one(), "entitlements": entitlements.one()}
    if any(counts.values()):
        raise precondition(
            "CUSTOMER_NOT_EMPTY",
            f"{found.name} still has {counts['users']} users and {counts['entitlements']} entitlements:"
            " delete them first, or set `force` to delete them with it.",
            **{kind: str(number) for kind, number in counts.items()},
        )
