"""A database with what tests of the control plane need in it."""

import itertools
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel, col, select

from clients.oci.credential import Basic
from controlplane.model.access_tables import Entitlement, EntitlementGrant
from controlplane.model.artifact_tables import Artifact, Tag
from controlplane.model.database import Database
from controlplane.model.identifiers import new_uid
from controlplane.model.keys import Keys
from controlplane.model.roles import Role
from controlplane.model.saved import saved_id
from controlplane.model.section import Section
from controlplane.model.tables import AccessToken, Customer, Organization, User
from controlplane.model.upstream_tables import Credential
from controlplane.upstream.opened import AwsKey, close
from tests.fakes import sqlite_copies

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
# For tests whose subject is SQL: the fixture `database` is each kind in turn.
BOTH_DATABASES = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.real)], indirect=True
)
_numbers = itertools.count(1)


def each_database(metafunc: pytest.Metafunc) -> None:
    """Has tests that use a database see each kind; for a `pytest_generate_tests`."""
    if "database" in metafunc.fixturenames:
        metafunc.parametrize(*BOTH_DATABASES.args, **BOTH_DATABASES.kwargs)


@asynccontextmanager
async def open_database(folder: Path) -> AsyncIterator[Database]:
    """Opens the SQLite database in a folder: an empty one, where there is none yet."""
    path = folder / sqlite_copies.FILE
    if not path.exists():
        await sqlite_copies.copy_into(folder)
    database = await Database.open(f"sqlite:///{path}")
    try:
        yield database
    finally:
        await database.close()


async def add(database: Database, row: SQLModel) -> None:
    """Adds a row as an API method would: nodes hear of it."""
    async with database.write() as session:
        session.add(row)
        await session.flush()
        await database.raise_revision(session)


async def add_organization(database: Database, slug: str = "") -> Organization:
    """Adds an organization, with an id that no other has unless one is given."""
    row = Organization(uid=new_uid(), slug=slug or f"org{next(_numbers)}", create_time=NOW, update_time=NOW)
    await add(database, row)
    return row


async def add_artifact(
    database: Database, upstream: str, path: str = "", *, organization: Organization | None = None
) -> Artifact:
    """Adds an artifact of a plain HTTP upstream, in an organization of its own unless one is given."""
    owner = organization or await add_organization(database)
    row = Artifact(
        uid=new_uid(),
        organization_id=owner.id,
        path=path or f"app{next(_numbers)}",
        upstream=upstream,
        plain_http=True,
        create_time=NOW,
        update_time=NOW,
    )
    await add(database, row)
    return row


async def add_token(
    database: Database,
    organization: Organization | None,
    *,
    user_role: Role = Role.READ_ONLY,
    role: Role | None = None,
    expires_in: timedelta | None = None,
    customer: Customer | None = None,
) -> tuple[User, AccessToken]:
    """Adds a user, of the installation without an organization, with a token."""
    number = next(_numbers)
    user = User(
        uid=new_uid(),
        organization_id=organization.id if organization else None,
        customer_id=customer.id if customer else None,
        email=f"user{number}@example.com",
        role=user_role,
        create_time=NOW,
        update_time=NOW,
    )
    await add(database, user)
    token = AccessToken(
        uid=new_uid(),
        user_id=user.id,
        sha256=number.to_bytes(32, "big"),
        hint="abcd",
        role=role,
        expire_time=NOW + expires_in if expires_in is not None else None,
        create_time=NOW,
    )
    await add(database, token)
    return user, token


async def add_credential(database: Database, keys: Keys, content: Basic | AwsKey) -> Credential:
    """Adds a credential, its secrets sealed, in an organization of its own."""
    organization = await add_organization(database)
    row = Credential(
        uid=new_uid(),
        organization_id=saved_id(organization),
        slug=f"credential{next(_numbers)}",
        kind="",
        username="",
        secret="",
        secret_update_time=NOW,
        secret_update_user="ann@example.com",
        create_time=NOW,
        update_time=NOW,
    )
    close(row, content, keys)
    await add(database, row)
    return row


async def add_customer(database: Database, organization: Organization, slug: str = "") -> Customer:
    """Adds a customer of an organization."""
    assert organization.id is not None
    row = Customer(
        uid=new_uid(),
        organization_id=organization.id,
        slug=slug or f"customer{next(_numbers)}",
        create_time=NOW,
        update_time=NOW,
    )
    await add(database, row)
    return row


async def add_entitlement(
    database: Database,
    customer: Customer,
    *grants: tuple[Artifact, Mapping[str, Any]],
    slug: str = "",
    expires_in: timedelta | None = None,
) -> Entitlement:
    """Adds an entitlement of a customer, with the parts of a rule for each artifact."""
    async with database.write() as session:
        row = Entitlement(
            uid=new_uid(),
            organization_id=customer.organization_id,
            customer_id=customer.id,
            slug=slug or f"entitlement{next(_numbers)}",
            expire_time=NOW + expires_in if expires_in is not None else None,
            config_revision=await database.raise_revision(session, Section.ENTITLEMENTS),
            create_time=NOW,
            update_time=NOW,
        )
        session.add(row)
        await session.flush()
        for artifact, rule in grants:
            session.add(
                EntitlementGrant(
                    entitlement_id=saved_id(row), artifact_id=saved_id(artifact), rule=json.dumps(rule)
                )
            )
    return row


async def read_artifact(database: Database, artifact: Artifact) -> Artifact:
    """Gives the artifact as it is in the database now."""
    async with database.read() as session:
        return (await session.exec(select(Artifact).where(Artifact.uid == artifact.uid))).one()


async def read_tags(database: Database, artifact: Artifact) -> dict[str, str]:
    """Gives the digest of every tag that is held."""
    async with database.read() as session:
        tags: Iterable[Tag] = await session.exec(
            select(Tag).where(Tag.artifact_id == artifact.id).order_by(col(Tag.name))
        )
        return {tag.name: tag.digest for tag in tags}
