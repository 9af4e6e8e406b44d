"""How rows become the configuration that nodes run."""

from datetime import timedelta

from controlplane.config import snapshot
from controlplane.model.database import Database
from controlplane.model.roles import Role
from penstock.v1 import config_pb2, user_pb2
from tests.fakes.rows import NOW, add_artifact, add_organization, add_token


async def _build(database: Database) -> config_pb2.Configuration:
    async with database.read() as session:
        return await snapshot.build(session)


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
