"""Which of an organization's pulls the caller may know of."""

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.analytics.choice import Choice, Chosen, TooMany, number_of, resolve
from controlplane.api import find
from controlplane.api.caller import caller
from controlplane.api.errors import Violation, invalid
from controlplane.model.naming import OrganizationName
from controlplane.model.pull_tables import NameKind
from controlplane.model.roles import Role
from controlplane.model.saved import saved_id
from controlplane.model.tables import Customer


async def look_up(session: AsyncSession, parent: OrganizationName, choice: Choice) -> Chosen:
    """Look up what is chosen, cut down to what the caller may know of.

    Members of the organization know of all; administrators of a customer of the pulls of that customer, its
    other users of their own, as with users.
    """
    organization_id = saved_id(await find.organization(session, parent))
    try:
        chosen = await resolve(session, organization_id, choice)
    except TooMany as error:
        raise invalid([Violation("filter", str(error))]) from error
    who = caller()
    if not who.of_customer:
        return chosen
    uid = (await session.exec(select(Customer.uid).where(Customer.id == who.customer_id))).one()
    # By uid alone: another customer may have had the same name.
    own = await number_of(session, organization_id, NameKind.CUSTOMER, uid)
    chosen = chosen.within(NameKind.CUSTOMER, own)
    if who.role != Role.ADMIN:
        own = await number_of(session, organization_id, NameKind.USER, who.user_uid)
        chosen = chosen.within(NameKind.USER, own)
    return chosen
