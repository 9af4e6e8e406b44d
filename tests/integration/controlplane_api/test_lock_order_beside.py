"""What a control plane writes by itself while somebody changes the same, on a real PostgreSQL.

As in `test_lock_order`, nobody waits for one that waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import ColumnElement
from sqlmodel import SQLModel, col, delete, select, update

from controlplane.api.uses import Use, Uses
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.identifiers import new_uid
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.model.tables import AccessToken, Organization, User
from controlplane.model.upstream_tables import Credential, CredentialKind
from controlplane.server import opened
from controlplane.settings import Settings
from controlplane.sync import recovery
from controlplane.upstream.notes import Notes
from penstock.v1 import artifact_pb2, customer_pb2, organization_pb2, user_pb2
from tests.fakes.claims import Claims, add_running
from tests.fakes.lock_waits import meet, waiting
from tests.fakes.rows import NOW, add, add_artifact, add_organization
from tests.fakes.waiting import until
from tests.integration.conftest import Copies
from tests.servers.control_plane import Plane, on_database

pytestmark = pytest.mark.real

# Artifacts whose runs end. They end at once.
_ROUNDS = 4
_ACME = "organizations/acme"
_JOB = (SyncJob, col(SyncJob.owner) == "two")
_ENDED = (SyncJob, col(SyncJob.owner) == "ended two")
_TOKEN = (AccessToken, col(AccessToken.uid) == "b")
# Seconds that something may take until it waits, or is over.
_PATIENCE = 30.0


class _Shop:
    """An organization with rows of every kind, in another order than those who write them go by."""

    def __init__(self, plane: Plane, database: Database) -> None:
        self.root = plane.root
        self.database = database
        self.owners = ["one", "two", "three"]

    async def open(self, plane: Plane) -> None:
        await plane.organization("acme")
        await self.root.customers.CreateCustomer(
            customer_pb2.CreateCustomerRequest(parent=_ACME, customer_id="globex")
        )
        self.user, _ = await plane.user("acme", "read_only", customer=f"{_ACME}/customers/globex")
        for number in range(3):
            await plane.artifact("acme", f"app{number}")
        async with self.database.write() as session:
            user = (await session.exec(select(User.id).where(User.uid == self.user.uid))).one()
            await session.exec(delete(SyncJob))
            artifacts = (await session.exec(select(Artifact).order_by(col(Artifact.id).desc()))).all()
            for number, artifact in enumerate(artifacts):
                ended = f"ended {self.owners[number]}"
                await add_running(session, artifact, ended)
                await session.exec(
                    update(SyncJob)
                    .where(col(SyncJob.owner) == ended)
                    .values(state=artifact_pb2.SyncJob.FAILED, end_time=NOW)
                )
                await add_running(session, artifact, self.owners[number])
                session.add(
                    AccessToken(
                        uid="cba"[number],
                        user_id=user,
                        sha256=bytes([number]),
                        hint="abcd",
                        create_time=NOW,
                    )
                )
                await session.flush()

    async def take_up(self) -> None:
        async with self.database.write() as session:
            await recovery.give_up(session, self.owners, recovery.STOPPED, NOW)

    async def beat(self) -> None:
        async with self.database.write() as session:
            await recovery.beat(session, self.owners, timedelta(minutes=1))

    async def forget(self) -> None:
        async with self.database.write() as session:
            await recovery.forget(session, NOW + timedelta(days=1))

    async def use(self) -> None:
        uses = Uses(self.database, CollectorRegistry(), lambda: NOW)
        await uses.save([Use(uid, NOW, "192.0.2.1") for uid in "abc"], [])

    async def delete_artifact(self) -> None:
        await self.root.artifacts.DeleteArtifact(
            artifact_pb2.DeleteArtifactRequest(name=f"{_ACME}/artifacts/app1")
        )

    async def delete_user(self) -> None:
        await self.root.users.DeleteUser(user_pb2.DeleteUserRequest(name=self.user.name))

    async def delete_customer(self) -> None:
        await self.root.customers.DeleteCustomer(
            customer_pb2.DeleteCustomerRequest(name=f"{_ACME}/customers/globex", force=True)
        )

    async def delete_organization(self) -> None:
        await self.root.organizations.DeleteOrganization(
            organization_pb2.DeleteOrganizationRequest(name=_ACME, force=True)
        )


@pytest.mark.parametrize(
    ("by_itself", "change", "between"),
    [
        (_Shop.take_up, _Shop.delete_artifact, _JOB),
        (_Shop.take_up, _Shop.delete_organization, _JOB),
        (_Shop.beat, _Shop.delete_organization, _JOB),
        (_Shop.forget, _Shop.delete_organization, _ENDED),
        (_Shop.use, _Shop.delete_user, _TOKEN),
        (_Shop.use, _Shop.delete_customer, _TOKEN),
        (_Shop.use, _Shop.delete_organization, _TOKEN),
    ],
)
async def test_none_of_two_that_meet_is_given_up(
    postgres_copies: Copies,
    settings: Settings,
    by_itself: Callable[[_Shop], Awaitable[None]],
    change: Callable[[_Shop], Awaitable[None]],
    between: tuple[type[SQLModel], ColumnElement[bool]],
) -> None:
    """Both go on from a row in the middle of what they lock, whichever is first."""
    with_url = settings.model_copy(update={"database_url": await postgres_copies.url()})
    async with on_database(with_url.database_url, settings) as plane, opened(with_url) as database:
        shop = _Shop(plane, database)
        await shop.open(plane)
        assert await meet(database, between, by_itself(shop), change(shop)) == ["", ""]


async def _both_wait(database: Database) -> bool:
    return await waiting(database) == 2


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_replicas_that_use_the_same_credentials(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Each writes what upstreams said of all of them, in whatever order they were used."""
    organization = await add_organization(database)
    rows = [_credential(organization) for _ in range(3)]
    for row in rows:
        await add(database, row)
    replicas = [Notes(database, lambda: NOW), Notes(database, lambda: NOW)]
    async with database.write() as session:
        await session.exec(select(Credential).where(Credential.id == rows[1].id).with_for_update())
        for notes, used in zip(replicas, (rows, reversed(rows)), strict=True):
            for row in used:
                notes.rejected(saved_id(row), "No.")
        await until(partial(_both_wait, database), _PATIENCE)
    for notes in replicas:
        await notes.stop()
    assert "not kept" not in caplog.text


def _credential(organization: Organization) -> Credential:
    uid = new_uid()
    return Credential(
        uid=uid,
        organization_id=saved_id(organization),
        slug=uid,
        kind=CredentialKind.BASIC,
        username="alice",
        secret="",
        secret_update_time=NOW,
        secret_update_user="",
        create_time=NOW,
        update_time=NOW,
    )


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_run_ends_while_its_artifact_changes(database: Database, pauses: Callable[[], None]) -> None:
    """The job is ended by one of the two, and none is given up."""
    claims = Claims(database)
    artifacts = [await add_artifact(database, "example.com/app") for _ in range(_ROUNDS)]
    runs = [(artifact, await claims.run(artifact)) for artifact in artifacts]
    pauses()
    changes = [claims.request(artifact, artifact_pb2.SyncJob.CREDENTIAL_CHANGE) for artifact, _ in runs]
    ends = [claims.finish(run, artifact_pb2.SyncJob.SUCCEEDED) for _, run in runs]
    await asyncio.gather(*changes, *ends)
    states = [job.state for job in await claims.jobs()]
    assert artifact_pb2.SyncJob.RUNNING not in states
    assert states.count(artifact_pb2.SyncJob.PENDING) == _ROUNDS
