"""Many entitlements on two nodes: what they take, and how soon a change is in effect."""

import asyncio
import json
import os
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from clients.control.token import TokenKind, new_token, sha256
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.identifiers import new_uid
from controlplane.model.saved import saved_id
from controlplane.model.tables import Customer
from tests.fakes.rows import add, add_entitlement, add_organization
from tests.fakes.waiting import until
from tests.servers import http
from tests.servers.node import Node
from tests.servers.penstock import Penstock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# The size that Penstock is made for; a fifth of it is over in half a minute.
ENTITLEMENTS = int(os.environ.get("TEST_ENTITLEMENTS", "100000"))
CUSTOMERS, ARTIFACTS, TOKENS = ENTITLEMENTS // 100, ENTITLEMENTS // 10, ENTITLEMENTS // 20
# Of it, a hundred MiB are what a node takes anyway when it works.
LIMIT = (100 << 20) + ENTITLEMENTS * 2048
# Each connection is some worker's: so many answers in a row, and all of them have changed.
_ALL = 20


def memory(pid: int) -> int:
    """What a process and its children take in memory, in bytes; what they share counts once."""
    pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    rollups = (Path(f"/proc/{each}/smaps_rollup").read_text() for each in pids)
    return sum(int(re.findall(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)[0]) * 1024 for text in rollups)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[tuple[Penstock, list[Node]]]:
    """A control plane, and two nodes of which one has started."""
    penstock = Penstock(tmp_path / "penstock", together=False)
    nodes: list[Node] = []
    try:
        penstock.start_plane("controlplane")
        nodes = [Node(penstock, tmp_path / f"node-{number}") for number in range(2)]
        nodes[0].start()
        yield penstock, nodes
    finally:
        for node in nodes:
            node.stop()
        penstock.stop()


@pytest.fixture
async def database(installation: tuple[Penstock, list[Node]]) -> AsyncIterator[Database]:
    """The control plane's database, from beside it."""
    penstock, _ = installation
    database = await Database.open(f"sqlite:///{penstock.data / 'controlplane.db'}")
    yield database
    await database.close()


async def fill(database: Database, path: Path) -> str:
    """Puts it all into the database's file in one transaction; gives the secret of a token of customer 1."""
    organization = await add_organization(database, "acme")
    organization.entitled_only = True
    await add(database, organization)
    owner = saved_id(organization)
    secret = new_token(TokenKind.USER)
    # Past the library that the control plane uses: that would take a minute for as many rows.
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        (now,) = connection.execute("SELECT create_time FROM organization").fetchone()
        (revision,) = connection.execute(
            "UPDATE singleton SET config_revision = config_revision + 1 RETURNING config_revision"
        ).fetchone()
        names = [row[1] for row in connection.execute("PRAGMA table_info(singleton)")]
        for name in names:
            if name.endswith("_revision"):
                connection.execute(f"UPDATE singleton SET {name} = ?", (revision,))
        times = {"create_time": now, "update_time": now}
        customers = range(1, CUSTOMERS + 1)
        entitlements = range(1, ENTITLEMENTS + 1)
        put(
            connection,
            "customer",
            ({"id": n, **owned(owner), "slug": f"customer{n}", **times} for n in customers),
        )
        put(
            connection,
            "artifact",
            (
                {"id": n, **owned(owner), "path": f"app{n}", "upstream": f"127.0.0.1:9/app{n}", **times}
                | {"plain_http": 1, "content_revision": 1, "last_sync_error": ""}
                for n in range(1, ARTIFACTS + 1)
            ),
        )
        put(
            connection,
            "user_account",
            (
                {"id": 1000 + n, **owned(owner), "customer_id": n, "email": f"{n}@example.com", "role": 1}
                | times
                for n in customers
            ),
        )
        put(
            connection,
            "access_token",
            (
                {"uid": new_uid(), "user_id": 1001 + n % CUSTOMERS, "hint": "abcd", "create_time": now}
                | {"sha256": sha256(secret if n == 0 else f"token {n}"), "label": ""}
                for n in range(TOKENS)
            ),
        )
        put(
            connection,
            "entitlement",
            (
                {"id": n, **owned(owner), "customer_id": 1 + n % CUSTOMERS, "slug": f"seeded{n}"}
                | {"config_revision": revision, **times}
                for n in entitlements
            ),
        )
        # Never for the first artifact: that one is for what is changed later.
        put(
            connection,
            "entitlement_grant",
            (
                {
                    "entitlement_id": n,
                    "artifact_id": 2 + (n * 7 + grant * 31) % (ARTIFACTS - 1),
                    "rule": json.dumps({"patterns": [f"{n % 20}.{n % 37}.*"]}),
                }
                for n in entitlements
                for grant in range(2)
            ),
        )
    return secret


def owned(organization: int) -> dict[str, Any]:
    """The first columns of what an organization owns."""
    return {"uid": new_uid(), "organization_id": organization, "display_name": ""}


def put(connection: sqlite3.Connection, table: str, rows: Iterator[dict[str, Any]]) -> None:
    """Inserts rows that all have the same columns."""
    first = next(rows)
    statement = f"INSERT INTO {table} ({', '.join(first)}) VALUES ({', '.join('?' * len(first))})"
    connection.executemany(statement, (tuple(row.values()) for row in chain([first], rows)))


async def test_a_change_among_many_entitlements(
    installation: tuple[Penstock, list[Node]], database: Database
) -> None:
    """One node gets all as a change, one as a snapshot; each further change takes effect in every worker."""
    penstock, nodes = installation
    empty = memory(nodes[0].process.pid)
    secret = await fill(database, penstock.data / "controlplane.db")
    path = "/v2/acme/app1/tags/list"
    headers = {"Authorization": http.basic(secret)}

    async def all_answer(status: int) -> bool:
        return await asyncio.to_thread(
            lambda: all(
                http.request(node.registry, "GET", path, headers=headers).status == status
                for node in nodes
                for _ in range(_ALL)
            )
        )

    nodes[1].start()
    # The token is known, its owner is not entitled.
    await until(lambda: all_answer(404), patience=90)
    used = [memory(node.process.pid) - empty for node in nodes]
    print(f"a node's memory for it: {[size >> 20 for size in used]} MiB")
    assert max(used) < LIMIT
    async with database.read() as session:
        customer, artifact = await session.get(Customer, 1), await session.get(Artifact, 1)
    assert customer is not None
    assert artifact is not None
    took = []
    for _ in range(3):
        entitlement = await add_entitlement(database, customer, (artifact, {"all_tags": True}))
        began = time.monotonic()
        await until(lambda: all_answer(200))
        took.append(time.monotonic() - began)
        async with database.write() as session:
            await session.delete(entitlement)
            await database.raise_revision(session)
        began = time.monotonic()
        await until(lambda: all_answer(404))
        took.append(time.monotonic() - began)
    print(f"from commit to effect on all workers: {[round(each, 2) for each in took]} s")
    assert max(memory(node.process.pid) - empty for node in nodes) < LIMIT
