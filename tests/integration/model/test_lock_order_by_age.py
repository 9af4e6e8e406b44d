"""What is deleted for its age, on a real PostgreSQL, while others write or delete the same.

As in `test_lock_order`, nobody waits for one that waits for it.
"""

from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from itertools import combinations

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlmodel import col, insert, select

from controlplane.analytics import names
from controlplane.analytics.names import Naming
from controlplane.api.uses import Refusals, Uses
from controlplane.catalog import clearing, tagging
from controlplane.model.access_tables import RefusedSignIn
from controlplane.model.artifact_tables import TagRevision
from controlplane.model.database import Database
from controlplane.model.portions import delete_some
from controlplane.model.pull_tables import NameKind, PullName
from controlplane.model.saved import saved_id
from controlplane.sync.emptying import Emptying
from tests.fakes.lock_waits import meet
from tests.fakes.rows import NOW, add_artifact
from tests.integration.conftest import Copies

pytestmark = pytest.mark.real

_DAY = timedelta(days=1)
_LONG_AGO = NOW - 90 * _DAY


@pytest.fixture
async def database(postgres_copies: Copies) -> AsyncIterator[Database]:
    """One that goes by indexes, as it would if the tables were large."""
    url = await postgres_copies.url()
    first = await Database.open(url)
    async with first.write() as session:
        name = (await session.exec(text("SELECT current_database()"))).scalar_one()
        await session.exec(text(f'ALTER DATABASE "{name}" SET enable_seqscan = off'))
        await session.exec(text(f'ALTER DATABASE "{name}" SET enable_bitmapscan = off'))
    await first.close()
    database = await Database.open(url)
    yield database
    await database.close()


async def test_old_tag_history_while_its_artifact_is_emptied(database: Database) -> None:
    """Both delete the same rows, one by their times, the other by their artifact."""
    artifact = await add_artifact(database, "example.com/app")
    rows = [
        {
            "artifact_id": saved_id(artifact),
            "name": f"t{number}",
            "digest": "",
            "start_time": _LONG_AGO,
            "end_time": _LONG_AGO - timedelta(hours=number),
        }
        for number in range(3)
    ]
    async with database.write() as session:
        await session.exec(insert(TagRevision), params=rows)
    emptying = Emptying("emptying", "ann@example.com", lambda: NOW)

    async def forget() -> None:
        async with database.write() as session:
            await tagging.forget_history(session, NOW - _DAY)

    between = (TagRevision, col(TagRevision.name) == "t1")
    clear = clearing.clear_all(database, artifact, emptying.take)
    assert await meet(database, between, forget(), clear) == ["", ""]
    # Nobody waits for what others hold: it goes the next time.
    await clearing.clear_all(database, artifact, emptying.take)
    async with database.read() as session:
        assert (await session.exec(select(TagRevision.id))).all() == []


async def test_old_refusals_of_addresses_that_are_refused_again(database: Database) -> None:
    """Two replicas write one each, and delete what is old: each finds the other's so, as it was before."""
    replicas = [Uses(database, CollectorRegistry(), lambda: NOW) for _ in range(2)]
    old = [Refusals(f"192.0.2.{number}", "", 1, _LONG_AGO) for number in range(4)]
    async with database.write() as session:
        values = {"token_uid": "", "count": 1, "first_time": _LONG_AGO, "last_time": _LONG_AGO}
        await session.exec(insert(RefusedSignIn), params=[values | {"address": each.address} for each in old])

    def save(number: int) -> Awaitable[None]:
        return replicas[number % 2].save([], [Refusals(f"192.0.2.{number}", "", 1, NOW)])

    between = (RefusedSignIn, col(RefusedSignIn.address) == "192.0.2.0")
    assert await meet(database, between, save(1), save(2)) == ["", ""]
    await save(3)
    async with database.read() as session:
        kept = (await session.exec(select(RefusedSignIn.address).order_by(col(RefusedSignIn.address)))).all()
    assert kept == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


async def test_old_names_that_are_pulled_again(database: Database) -> None:
    """A report brings them up to date while they are deleted: one goes by their keys, one by their names."""
    namings = sorted(
        (Naming(1, NameKind.ARTIFACT, f"{number}", f"{number}") for number in range(50)),
        key=lambda naming: naming.key,
    )
    chosen = next(some for some in combinations(namings, 3) if some[0].name > some[1].name > some[2].name)
    async with database.write() as session:
        await names.number(session, dict.fromkeys(chosen, 1))

    async def report() -> None:
        async with database.write() as session:
            await names.number(session, dict.fromkeys(chosen, 30))

    async def sweep() -> None:
        async with database.write() as session:
            mine = (col(PullName.organization_id) == 1) & (col(PullName.kind) == NameKind.ARTIFACT)
            await delete_some(session, PullName, mine & (col(PullName.last_day) < 10), 5000)

    between = (PullName, col(PullName.name) == chosen[1].name)
    assert await meet(database, between, report(), sweep()) == ["", ""]
    async with database.read() as session:
        assert (await session.exec(select(PullName.last_day))).all() == [30] * 3
