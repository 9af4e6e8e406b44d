"""`penstock customers`."""

from typing import Annotated

import typer

from clients.cli.command import application, command
from clients.cli.output import Field, moment, show, show_deleted, show_list
from clients.cli.session import Session
from clients.cli.users import OrganizationArgument
from clients.control import names
from clients.control.errors import translated
from clients.control.paging import iterate
from penstock.v1.customer_pb2 import (
    CreateCustomerRequest,
    Customer,
    DeleteCustomerRequest,
    GetCustomerRequest,
    ListCustomersRequest,
    UpdateCustomerRequest,
)

app = application("customers", "Those whom an organization hands images to.")

FIELDS: tuple[Field[Customer], ...] = (
    Field("customer", lambda it: names.last(it.name)),
    Field("display name", lambda it: it.display_name),
    Field("created", lambda it: moment(it, "create_time")),
    Field("updated", lambda it: moment(it, "update_time"), listed=False),
    Field("uid", lambda it: it.uid, listed=False),
)

CustomerArgument = Annotated[
    str,
    typer.Argument(
        metavar="CUSTOMER", help="Organization and customer, like acme/globex.", show_default=False
    ),
]


@command(
    app,
    "create",
    "penstock customers create acme/globex",
    "penstock customers create acme/globex --display-name 'Globex Corp.'",
)
async def create(
    session: Session,
    customer: CustomerArgument,
    display_name: Annotated[
        str, typer.Option("--display-name", help="A name for people.", show_default=False)
    ] = "",
) -> None:
    """Create a customer."""
    parent, identifier = names.customer_parts(customer)
    request = CreateCustomerRequest(
        parent=parent, customer_id=identifier, customer=Customer(display_name=display_name)
    )
    async with session.control() as control:
        with translated():
            created = await control.customers.CreateCustomer(request)
    show(created, FIELDS, session.output)


@command(app, "get", "penstock customers get acme/globex")
async def get(session: Session, customer: CustomerArgument) -> None:
    """Show a customer."""
    async with session.control() as control:
        with translated():
            found = await control.customers.GetCustomer(GetCustomerRequest(name=_name(customer)))
    show(found, FIELDS, session.output)


@command(app, "list", "penstock customers list acme")
async def list_all(session: Session, organization: OrganizationArgument) -> None:
    """List the customers of an organization."""
    request = ListCustomersRequest(parent=names.organization(organization))
    async with session.control() as control:
        found = iterate(control.customers.ListCustomers, request, lambda page: page.customers)
        await show_list(found, FIELDS, session.output)


@command(app, "update", "penstock customers update acme/globex --display-name 'Globex Corporation'")
async def update(
    session: Session,
    customer: CustomerArgument,
    display_name: Annotated[
        str, typer.Option("--display-name", help="A name for people.", show_default=False)
    ],
) -> None:
    """Change a customer's display name."""
    request = UpdateCustomerRequest(customer=Customer(name=_name(customer), display_name=display_name))
    request.update_mask.paths.append("display_name")
    async with session.control() as control:
        with translated():
            updated = await control.customers.UpdateCustomer(request)
    show(updated, FIELDS, session.output)


@command(app, "delete", "penstock customers delete acme/globex --force")
async def delete(
    session: Session,
    customer: CustomerArgument,
    force: Annotated[
        bool, typer.Option("--force", help="Delete its users, tokens and entitlements as well.")
    ] = False,
) -> None:
    """Delete a customer.

    It must have no users and entitlements any more, unless --force is given.
    """
    name = _name(customer)
    async with session.control() as control:
        with translated():
            await control.customers.DeleteCustomer(DeleteCustomerRequest(name=name, force=force))
    show_deleted(name, session.output)


def _name(text: str) -> str:
    parent, identifier = names.customer_parts(text)
    return f"{parent}/customers/{identifier}"
