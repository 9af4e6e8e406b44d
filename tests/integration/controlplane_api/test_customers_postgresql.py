"""Customers, entitlements, reach and the audit log on PostgreSQL, a real one."""

import pytest
from prometheus_client import CollectorRegistry
from sqlmodel import col, delete, select, update

from clients.oci.tag_rule import TagRule
from controlplane.api import audit
from controlplane.api.caller import Caller
from controlplane.api.uses import Refusals, Use, Uses
from controlplane.catalog import reach, store, tagging
from controlplane.config import snapshot
from controlplane.config.held import Held
from controlplane.model.access_tables import AuditRecord, Entitlement, RefusedSignIn
from controlplane.model.artifact_tables import Edge, EdgeKind
from controlplane.model.database import Database
from controlplane.model.roles import Role
from controlplane.model.saved import saved_id
from controlplane.model.section import Section
from controlplane.model.tables import AccessToken
from penstock.v1 import customer_pb2
from tests.fakes.rows import (
    NOW,
    add,
    add_artifact,
    add_customer,
    add_entitlement,
    add_organization,
    add_token,
)

pytestmark = [pytest.mark.real, pytest.mark.parametrize("database", ["postgresql"], indirect=True)]


async def _read(database: Database, before: Held | None = None) -> Held:
    async with database.read() as session:
        return await snapshot.read(session, before)


async def test_what_customers_bring_works_here_as_well(database: Database) -> None:
    """What is read on is what is read anew; reach, uses, refusals and audit records are written and read."""
    acme = await add_organization(database, "acme")
    redis = await add_artifact(database, "docker.io/library/redis", "redis", organization=acme)
    globex = await add_customer(database, acme, "globex")
    _, token = await add_token(database, acme, customer=globex)
    kept = await add_entitlement(database, globex, (redis, {"patterns": ["7.*"]}))
    gone = await add_entitlement(database, globex, (redis, {"all_tags": True}))
    held = await _read(database)
    async with database.write() as session:
        revision = await database.raise_revision(session, Section.ENTITLEMENTS)
        await session.exec(
            update(Entitlement)
            .where(col(Entitlement.uid) == kept.uid)
            .values(expire_time=NOW, config_revision=revision)
        )
        await session.exec(delete(Entitlement).where(col(Entitlement.uid) == gone.uid))
    held = await _read(database, held)
    assert held == await _read(database)
    assert set(held.sections[Section.ENTITLEMENTS]) == {kept.uid}

    key = saved_id(redis)
    edge = Edge(
        artifact_id=key, parent="sha256:a", child="sha256:b", kind=EdgeKind.BLOB, media_type="x", size=1
    )
    await add(database, edge)
    async with database.write() as session:
        await store.lock(session, redis)
        await tagging.set_tags(database, session, key, {"7.1": "sha256:a"}, NOW)
        assert await reach.tag_of(session, key, "sha256:b", [TagRule.of(patterns=["7.*"])]) == "7.1"
        assert await reach.tag_of(session, key, "sha256:b", [TagRule.of(patterns=["8.*"])]) is None

    uses = Uses(database, CollectorRegistry(), lambda: NOW)
    for _ in range(2):
        await uses.save([Use(token.uid, NOW, "10.0.0.1")], [Refusals("10.0.0.2", "", 2, NOW)])
    database.before_commit = audit.recorder(lambda: NOW)
    request = customer_pb2.DeleteCustomerRequest(name="organizations/acme/customers/globex")
    who = Caller(user_uid="u", email="boss@example.com", role=Role.ADMIN, organization_id=acme.id)
    with audit.changing("/penstock.v1.CustomerService/DeleteCustomer", request, who, "10.0.0.3"):
        async with database.write() as session:
            await database.raise_revision(session, Section.CUSTOMERS)
    async with database.read() as session:
        used = (await session.exec(select(AccessToken))).one()
        assert (used.last_use_time, used.last_use_address) == (NOW, "10.0.0.1")
        assert (await session.exec(select(RefusedSignIn.count))).one() == 4
        record = (await session.exec(select(AuditRecord))).one()
        assert (record.organization_id, record.resource, record.address) == (
            acme.id,
            "organizations/acme/customers/globex",
            "10.0.0.3",
        )
