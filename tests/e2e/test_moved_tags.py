"""Tags that moved or went upstream, as every worker of every node serves them after the sync that saw it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.servers import http
from tests.servers.node import Node
from tests.servers.penstock import Organization, Penstock

pytestmark = [pytest.mark.real, pytest.mark.slow]

WORKERS = 3
# New connections in a row from which it is taken that no worker of a node is left out.
CONNECTIONS = 8 * WORKERS
# Seconds; the contract says two, on a machine that does nothing else.
PATIENCE = 30


@pytest.fixture
def penstock(tmp_path: Path) -> Iterator[Penstock]:
    """An installation whose nodes have several workers."""
    installation = Penstock(
        tmp_path / "penstock", together=False, settings={"WORKERS": str(WORKERS), "FAST_PATH": "true"}
    )
    try:
        yield installation.start()
    finally:
        installation.stop()


@pytest.fixture
def second(penstock: Penstock, tmp_path: Path) -> Iterator[Node]:
    """Another node of it."""
    node = Node(penstock, tmp_path / "second")
    try:
        yield node.start()
    finally:
        node.stop()


class Pulls:
    """What the nodes say of the tags of one artifact."""

    def __init__(self, owner: Organization, registries: list[str]) -> None:
        self._owner = owner
        self._registries = registries

    def served(self, tag: str) -> list[str]:
        """The digest that each connection to each node is told; empty for none."""
        headers = {"Authorization": http.basic(self._owner.token)}
        path = f"/v2/{self._owner.name}/app/manifests/{tag}"
        answers = [
            http.request(registry, "HEAD", path, headers=headers)
            for registry in self._registries
            for _ in range(CONNECTIONS)
        ]
        assert {answer.status for answer in answers} <= {200, 404}
        return [answer.headers.get("Docker-Content-Digest", "") for answer in answers]

    def until(self, what: str, done: Callable[[], bool]) -> None:
        """Waits until it is so everywhere, and prints how long after the end of the last sync that was."""
        (job, *_) = self._owner.penstock.json("artifacts", "syncs", f"{self._owner.name}/app")
        ended = datetime.fromisoformat(job["end_time"])
        deadline = time.monotonic() + PATIENCE
        while True:
            # Whatever this look finds was so when it began.
            begun = datetime.now(UTC)
            if done():
                break
            assert time.monotonic() < deadline, what
        print(f"{what}: on every worker at most {(begun - ended).total_seconds():.2f} s after the sync ended")


async def test_moves_and_removals_reach_every_worker(
    penstock: Penstock, second: Node, fake: FakeRegistry
) -> None:
    """A moved tag has its new digest, a pruned one is gone, and what nobody touched stays, on both nodes."""
    owner = await asyncio.to_thread(penstock.organization)
    before, after = make_image(seed=1), make_image(seed=2)
    fake.add(before, "team/app", ["moves", "goes", "stays"])
    await asyncio.to_thread(owner.artifact, f"{fake.host}/team/app")
    pulls = Pulls(owner, [penstock.registry, second.registry])

    def all_serve(tag: str, digest: str) -> bool:
        return set(pulls.served(tag)) == {digest}

    async def sync() -> None:
        await asyncio.to_thread(penstock.cli, "artifacts", "sync", f"{owner.name}/app", "--wait")

    async def waits_for(what: str, tag: str, digest: str) -> None:
        await asyncio.to_thread(pulls.until, what, lambda: all_serve(tag, digest))

    # Every worker has them in its memory.
    for tag in ("moves", "goes", "stays"):
        await waits_for(f"{tag} at first", tag, str(before.digest))

    fake.add(after, "team/app", ["moves"])
    await sync()
    await waits_for("moved", "moves", str(after.digest))

    fake.remove_tag("team/app", "goes")
    await sync()
    assert await asyncio.to_thread(all_serve, "goes", str(before.digest))
    await sync()
    await waits_for("removed", "goes", "")
    assert await asyncio.to_thread(all_serve, "stays", str(before.digest))
    assert await asyncio.to_thread(all_serve, "moves", str(after.digest))
