"""Opened credentials: in memory while they are used, and not after they are gone."""

from datetime import datetime
from pathlib import Path

import pytest

from clients.oci.credential import Basic
from clients.oci.errors import UpstreamDenied
from clients.oci.upstream import Upstream
from controlplane.model.database import Database
from controlplane.model.identifiers import new_uid
from controlplane.model.keys import Keys
from controlplane.model.saved import saved_id
from controlplane.model.upstream_tables import Credential
from controlplane.upstream.credentials import Credentials
from controlplane.upstream.ecr import Ecr
from controlplane.upstream.opened import close
from tests.fakes.clock import Clock
from tests.fakes.rows import NOW, add_organization
from tests.fakes.secrets import remembers

UPSTREAM = Upstream.parse("registry.example.com/team/app")


async def test_a_secret_that_another_replica_deletes_goes_soon(database: Database, tmp_path: Path) -> None:
    """Nobody tells this one; five seconds later, whatever credential is opened next drops it."""
    keys, clock = Keys("", tmp_path / "encryption-keys"), Clock()
    organization = await add_organization(database)
    rows = [_row(organization.id, name, keys) for name in ("deleted", "kept")]
    async with database.write() as session:
        session.add_all(rows)
    credentials = Credentials(database, keys, Ecr(allow_private=False), now=_now, clock=clock)
    for row in rows:
        await credentials.open(saved_id(row), UPSTREAM)
    async with database.write() as session:
        await session.delete(rows[0])
    assert remembers(credentials._opened, "secret-of-deleted")

    clock.now += 5
    await credentials.open(saved_id(rows[1]), UPSTREAM)

    assert not remembers(credentials._opened, "secret-of-deleted")
    assert remembers(credentials._opened, "secret-of-kept")
    with pytest.raises(UpstreamDenied):
        await credentials.open(saved_id(rows[0]), UPSTREAM)
    await credentials.stop()


def _row(organization_id: int | None, name: str, keys: Keys) -> Credential:
    row = Credential(
        uid=new_uid(),
        organization_id=organization_id,
        slug=name,
        kind="",
        username="",
        secret="",
        secret_update_time=NOW,
        secret_update_user="ann@example.com",
        create_time=NOW,
        update_time=NOW,
    )
    close(row, Basic("alice", f"secret-of-{name}"), keys)
    return row


def _now() -> datetime:
    return NOW
