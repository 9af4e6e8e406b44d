"""How rows become the configuration that nodes run."""

from datetime import timedelta

from sqlmodel import col, delete, select, update

from controlplane.config import snapshot
from controlplane.config.change import whole
from controlplane.config.held import Held
from controlplane.model.access_tables import Entitlement
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.roles import Role
from controlplane.model.section import Section
from controlplane.model.tables import Organization, Singleton
from penstock.v1 import config_pb2, user_pb2
from tests.fakes.rows import (
    NOW,
    add_artifact,
    add_customer,
    add_entitlement,
    add_organization,
    add_token,
)


async def _read(database: Database, before: Held | None = None) -> Held:
    async with database.read() as session:
        return await snapshot.read(session, before)


async def _build(database: Database) -> config_pb2.Configuration:
    (response,) = whole(await _read(database))
    return response.snapshot


async def test_an_empty_installation_has_a_revision_and_nothing_else(database: Database) -> None:
    """A node of a new installation gets a valid configuration."""
    assert await _build(database) == config_pb2.Configuration(revision=1)


async def test_artifacts_carry_the_whole_repository_name(database: Database) -> None:
    """Nodes match what clients ask for, with the organization in front."""
    acme = await add_organization(database, "acme")
    artifact = await add_artifact(database, "docker.io/library/redis", "team/redis", organization=acme)

    built = await _build(database)

    assert list(built.organizations) == [config_pb2.OrganizationConfig(uid=acme.uid, organization_id="acme")]
    assert list(built.artifacts) == [
        config_pb2.ArtifactConfig(
            uid=artifact.uid,
            organization_uid=acme.uid,
            repository="acme/team/redis",
            content_revision=1,
        )
    ]


async def test_nodes_hear_of_cache_policies(database: Database) -> None:
    """Of artifacts that have one."""
    acme = await add_organization(database, "acme")
    plain = await add_artifact(database, "docker.io/library/redis", "redis", organization=acme)
    kept = await add_artifact(database, "docker.io/library/nginx", "nginx", organization=acme)
    async with database.write() as session:
        kept.cache_policy = {"pin_tags": ["1.*"], "prefetch_platforms": ["linux/amd64"]}
        session.add(kept)

    built = {entry.uid: entry for entry in (await _build(database)).artifacts}

    assert (list(built[kept.uid].pin_tags), list(built[kept.uid].prefetch_tags)) == (["1.*"], [])
    assert list(built[kept.uid].prefetch_platforms) == ["linux/amd64"]
    assert not built[plain.uid].pin_tags


async def test_a_token_has_the_lower_of_two_roles_and_its_expiry(database: Database) -> None:
    """A token for an administrator that was made for reading does not give more than reading."""
    acme = await add_organization(database, "acme")
    user, token = await add_token(
        database, acme, user_role=Role.ADMIN, role=Role.READ_ONLY, expires_in=timedelta(days=1)
    )

    (built,) = (await _build(database)).tokens

    assert built.sha256 == token.sha256
    assert (built.organization_uid, built.user_uid) == (acme.uid, user.uid)
    assert built.role == user_pb2.ROLE_READ_ONLY
    assert built.expire_time.ToDatetime(tzinfo=NOW.tzinfo) == NOW + timedelta(days=1)


async def test_a_token_of_the_installation_has_no_organization(database: Database) -> None:
    """The administrator of the installation is told apart by the empty organization."""
    await add_token(database, None, user_role=Role.ADMIN)

    (built,) = (await _build(database)).tokens

    assert built.organization_uid == ""
    assert built.role == user_pb2.ROLE_ADMIN
    assert not built.HasField("expire_time")


async def test_lists_stand_in_the_order_of_their_uids(database: Database) -> None:
    """The same rows give the same bytes, whatever the database answers first."""
    acme = await add_organization(database, "acme")
    for _ in range(5):
        await add_artifact(database, "docker.io/library/redis", organization=acme)
        await add_organization(database)
        await add_token(database, acme)

    built = await _build(database)

    for entries in (built.organizations, built.artifacts, built.tokens):
        uids = [entry.uid for entry in entries]
        assert uids == sorted(uids)
        assert len(uids) >= 5


async def test_a_customer_comes_with_its_tokens_and_entitlements(database: Database) -> None:
    """A node can tell from it alone what a customer's token may pull, and until when."""
    acme = await add_organization(database, "acme")
    artifact = await add_artifact(database, "docker.io/library/redis", "redis", organization=acme)
    globex = await add_customer(database, acme, "globex")
    _, token = await add_token(database, acme, customer=globex)
    trial = await add_entitlement(
        database, globex, (artifact, {"patterns": ["7.*"]}), expires_in=timedelta(days=1)
    )

    built = await _build(database)

    assert list(built.customers) == [
        config_pb2.CustomerConfig(uid=globex.uid, organization_uid=acme.uid, customer_id="globex")
    ]
    assert [(entry.uid, entry.customer_uid) for entry in built.tokens] == [(token.uid, globex.uid)]
    (entitlement,) = built.entitlements
    assert (entitlement.uid, entitlement.customer_uid) == (trial.uid, globex.uid)
    assert [(grant.artifact_uid, list(grant.tags.patterns)) for grant in entitlement.grants] == [
        (artifact.uid, ["7.*"])
    ]
    assert entitlement.expire_time.ToDatetime(tzinfo=NOW.tzinfo) == NOW + timedelta(days=1)


async def test_only_sections_that_changed_are_read_again(database: Database) -> None:
    """A token that is made does not have ten thousand artifacts read."""
    acme = await add_organization(database, "acme")
    await add_artifact(database, "docker.io/library/redis", organization=acme)
    before = await _read(database)
    async with database.write() as session:
        await database.raise_revision(session, Section.TOKENS)

    after = await _read(database, before)

    assert after.revision == before.revision + 1
    assert after.sections[Section.ARTIFACTS] is before.sections[Section.ARTIFACTS]
    assert after.sections[Section.TOKENS] is not before.sections[Section.TOKENS]


async def test_what_is_read_on_is_what_is_read_anew(database: Database) -> None:
    """Entitlements that came, changed and went, some with their customer or their only artifact."""
    acme = await add_organization(database, "acme")
    redis, nginx = [
        await add_artifact(database, "docker.io/library/redis", path, organization=acme)
        for path in ("redis", "nginx")
    ]
    globex, initech = [await add_customer(database, acme, slug) for slug in ("globex", "initech")]
    kept = await add_entitlement(database, globex, (redis, {"all_tags": True}))
    gone = await add_entitlement(database, globex, (redis, {"all_tags": True}), (nginx, {"patterns": ["1"]}))
    await add_entitlement(database, initech, (nginx, {"patterns": ["2"]}))
    held = await _read(database)
    assert len(held.sections[Section.ENTITLEMENTS]) == 3

    async with database.write() as session:
        revision = await database.raise_revision(session, Section.ENTITLEMENTS)
        await session.exec(
            update(Entitlement)
            .where(col(Entitlement.uid) == kept.uid)
            .values(expire_time=NOW, config_revision=revision)
        )
        await session.exec(delete(Entitlement).where(col(Entitlement.uid) == gone.uid))
    new = await add_entitlement(database, globex, (nginx, {"version_ranges": [">1"]}))
    held = await _read(database, held)
    assert held == await _read(database)
    assert set(held.sections[Section.ENTITLEMENTS]) > {kept.uid, new.uid}
    assert gone.uid not in held.sections[Section.ENTITLEMENTS]

    async with database.write() as session:
        await session.delete((await session.exec(select(Organization))).one())
        await database.raise_revision(session)
    assert (await _read(database, held)).sections == {section: {} for section in Section}
    async with database.read() as session:
        assert (await session.exec(select(Artifact))).first() is None


async def test_a_database_from_a_backup_is_read_anew(database: Database) -> None:
    """It is behind what was read: what changed since the backup is not to stay with nodes."""
    customer = await add_customer(database, await add_organization(database))
    entitlement = await add_entitlement(database, customer, expires_in=timedelta(days=1))
    async with database.read() as session:
        saved = (await session.exec(select(Singleton))).one()
    backup = saved.model_dump()
    async with database.write() as session:
        later = await database.raise_revision(session, Section.ENTITLEMENTS)
        longer = update(Entitlement).values(expire_time=NOW + timedelta(days=99), config_revision=later)
        await session.exec(longer)
    before = await _read(database)

    async with database.write() as session:
        values = {"expire_time": entitlement.expire_time, "config_revision": entitlement.config_revision}
        await session.exec(update(Entitlement).values(**values))
        await session.exec(update(Singleton).values(**backup))

    assert await _read(database, before) == await _read(database)
