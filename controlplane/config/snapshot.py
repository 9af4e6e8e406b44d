"""The tables' rows, as the configuration that nodes run."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.config import entitlements
from controlplane.config.held import Entries, Held
from controlplane.model.artifact_tables import Artifact
from controlplane.model.roles import effective_role
from controlplane.model.section import Section
from controlplane.model.tables import AccessToken, Customer, Organization, Singleton, User
from penstock.v1 import config_pb2, user_pb2


async def read(session: AsyncSession, before: Held | None = None) -> Held:
    """Read the configuration that this transaction sees.

    Sections that did not change since `before` are taken from it, and of entitlements only those that did
    are read. The same rows always give equal entries. The transaction must see one moment's state
    (`Database.read`): otherwise an artifact could come without its organization.
    """
    row = (await session.exec(select(Singleton))).one()
    if before and row.config_revision < before.revision:
        # The database was put back to a backup: its revisions say nothing of what was read before.
        before = None
    changed_at: dict[Section, int] = {each: getattr(row, each.column) for each in Section}
    sections: dict[Section, Entries] = {}
    rows = _Rows(session)
    for section in Section:
        held = before.sections[section] if before else {}
        if before and before.changed_at[section] == changed_at[section]:
            sections[section] = held
            continue
        match section:
            case Section.ORGANIZATIONS:
                sections[section] = await rows.organizations()
            case Section.CUSTOMERS:
                sections[section] = await rows.customers()
            case Section.ARTIFACTS:
                sections[section] = await rows.artifacts()
            case Section.TOKENS:
                sections[section] = await rows.tokens()
            case Section.ENTITLEMENTS:
                since = before.changed_at[section] if before else 0
                sections[section] = await entitlements.read(session, held, since)
    return Held(row.config_revision, changed_at, sections)


class _Rows:
    """Reads sections whole. Columns and not whole rows: ten times quicker, and there may be many."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._slugs: Mapping[int | None, tuple[str, str]] | None = None

    async def organizations(self) -> Entries:
        rows = await self._session.exec(
            select(Organization.uid, Organization.slug, Organization.entitled_only)
        )
        return {
            uid: config_pb2.OrganizationConfig(
                uid=uid, organization_id=slug, entitled_only=entitled_only
            ).SerializeToString()
            for uid, slug, entitled_only in rows
        }

    async def customers(self) -> Entries:
        owners = await self._owners()
        rows = await self._session.exec(select(Customer.uid, Customer.organization_id, Customer.slug))
        return {
            uid: config_pb2.CustomerConfig(
                uid=uid, organization_uid=owners[organization][0], customer_id=slug
            ).SerializeToString()
            for uid, organization, slug in rows
        }

    async def artifacts(self) -> Entries:
        owners = await self._owners()
        # Few have one.
        policed = select(Artifact.uid, col(Artifact.cache_policy)).where(
            sqlalchemy.cast(Artifact.cache_policy, sqlalchemy.String) != "{}"
        )
        policies = dict((await self._session.exec(policed)).all())
        rows = await self._session.exec(
            select(Artifact.uid, Artifact.organization_id, Artifact.path, Artifact.content_revision)
        )
        return {
            uid: config_pb2.ArtifactConfig(
                uid=uid,
                organization_uid=owners[organization][0],
                repository=f"{owners[organization][1]}/{path}",
                content_revision=content_revision,
                **policies.get(uid, {}),
            ).SerializeToString()
            for uid, organization, path, content_revision in rows
        }

    async def tokens(self) -> Entries:
        # Expired tokens are in it as well: the configuration depends on the rows alone, not on a clock.
        ends = await self._ends()
        owners = await self._owners()
        customers = dict((await self._session.exec(select(Customer.id, Customer.uid))).all())
        connection = await self._session.connection()
        rows = await connection.execute(
            sqlalchemy.select(
                col(User.id), col(User.uid), col(User.organization_id), col(User.customer_id), col(User.role)
            )
        )
        users = {
            key: (uid, "" if organization is None else owners[organization][0], customer, role)
            for key, uid, organization, customer, role in rows
        }
        tokens = await self._session.exec(
            select(AccessToken.uid, AccessToken.sha256, AccessToken.user_id, AccessToken.role)
        )
        entries = {}
        for uid, sha256, user_id, role in tokens:
            user_uid, organization_uid, customer, user_role = users[user_id]
            entries[uid] = config_pb2.TokenConfig(
                uid=uid,
                sha256=sha256,
                organization_uid=organization_uid,
                user_uid=user_uid,
                role=user_pb2.Role.ValueType(effective_role(user_role, role)),
                expire_time=ends.get(uid),
                customer_uid="" if customer is None else customers[customer],
            ).SerializeToString()
        return entries

    async def _ends(self) -> Mapping[str, Any]:
        rows = await self._session.exec(
            select(AccessToken.uid, AccessToken.expire_time).where(col(AccessToken.expire_time).is_not(None))
        )
        return dict(rows.all())

    async def _owners(self) -> Mapping[int | None, tuple[str, str]]:
        """Give uid and slug of each organization, by its internal id."""
        if self._slugs is None:
            rows = await self._session.exec(select(Organization.id, Organization.uid, Organization.slug))
            self._slugs = {key: (uid, slug) for key, uid, slug in rows}
        return self._slugs
