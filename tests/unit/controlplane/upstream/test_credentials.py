"""Stored credentials in memory: as long as they are used, and no longer."""

import asyncio
from pathlib import Path

import pytest

from clients.oci.credential import Basic
from clients.oci.errors import UpstreamDenied
from clients.oci.upstream import Upstream
from controlplane.model.database import Database
from controlplane.model.keys import Keys
from controlplane.model.saved import saved_id
from controlplane.upstream import credentials as module
from controlplane.upstream.credentials import Credentials
from controlplane.upstream.ecr import Ecr
from tests.fakes.rows import NOW, add_credential
from tests.fakes.secrets import remembers
from tests.fakes.waiting import until

UPSTREAM = Upstream.parse("registry.example.com/team/app")


async def test_a_secret_that_is_not_used_does_not_stay_in_memory(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether anything else is asked for or not, and at once when the control plane stops."""
    keys = Keys("", tmp_path / "encryption-keys")
    row = await add_credential(database, keys, Basic("alice", "open sesame once"))
    credentials = Credentials(database, keys, Ecr(allow_private=True), now=lambda: NOW)
    assert (await credentials.open(saved_id(row), UPSTREAM)).content == Basic("alice", "open sesame once")
    assert remembers(credentials, "open sesame once")
    await credentials.stop()
    assert not remembers(credentials, "open sesame once")

    monkeypatch.setattr(module, "_FRESH", 0.05)
    await credentials.open(saved_id(row), UPSTREAM)

    async def is_gone() -> bool:
        return not remembers(credentials, "open sesame once")

    await until(is_gone)


async def test_a_credential_is_read_once_while_it_is_fresh(database: Database, tmp_path: Path) -> None:
    """What another process changes counts some seconds later, and at once where it is asked for anew."""
    keys = Keys("", tmp_path / "encryption-keys")
    row = await add_credential(database, keys, Basic("alice", "before before"))
    credentials = Credentials(database, keys, Ecr(allow_private=True), now=lambda: NOW)
    await credentials.open(saved_id(row), UPSTREAM)
    async with database.write() as session:
        await session.delete(row)
    for _ in range(3):
        await credentials.open(saved_id(row), UPSTREAM)
        await asyncio.sleep(0)
    with pytest.raises(UpstreamDenied):
        await credentials.open(saved_id(row), UPSTREAM, anew=True)
    await credentials.stop()
