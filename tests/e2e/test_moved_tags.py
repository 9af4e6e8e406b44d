"""Tags that moved or went upstream, as every worker of every node serves them after the sync that saw it."""

import asyncio
import json
import time
from datetime import UTC, datetime

import pytest

from tests.fakes.images import Image, make_image
from tests.fakes.registry import FakeRegistry
from tests.servers import http
from tests.servers.node import Node
from tests.servers.penstock import Organization, Penstock

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300)]

# New connections in a row from which it is taken that neither worker of a node is left out.
CONNECTIONS = 16
# Seconds for a sync and what follows it; of the latter the contract says two.
PATIENCE = 120


class Pulls:
    """What the nodes say of the tags of one artifact."""

    def __init__(self, owner: Organization, registries: list[str]) -> None:
        self._owner = owner
        self._registries = registries
        self._uid = owner.penstock.json("artifacts", "get", f"{owner.name}/app")["uid"]

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

    def last_stale(self, tag: str, digest: str) -> datetime:
        """Looks until all of them are told a digest; gives when some were last told another."""
        stale = datetime.min.replace(tzinfo=UTC)
        deadline = time.monotonic() + PATIENCE
        while set(self.served(tag)) != {digest}:
            assert time.monotonic() < deadline, f"{tag} is not served as {digest or 'gone'}"
            stale = datetime.now(UTC)
        return stale

    def sync(self) -> datetime:
        """Syncs as scripts do, and gives when that ended."""
        penstock = self._owner.penstock
        headers = {"Authorization": f"AccessToken {penstock.admin_token}"}
        path = f"/api/v1/artifacts/{self._uid}/sync"
        job = http.request(penstock.http, "POST", path, headers=headers).json()
        told = http.request(penstock.http, "GET", f"/api/v1/{job['name']}:watch", headers=headers)
        ended = json.loads(told.body.splitlines()[-1])["result"]
        assert ended["state"] == "SUCCEEDED", ended
        return datetime.fromisoformat(ended["endTime"])


async def test_moves_and_removals_reach_every_worker(
    of_workers: Penstock, second_of_workers: Node, fake: FakeRegistry
) -> None:
    """A moved tag has its new digest, a pruned one is gone, and what nobody touched stays, on both nodes."""
    penstock, second = of_workers, second_of_workers
    owner = await asyncio.to_thread(penstock.organization)
    before, after = make_image(seed=1), make_image(seed=2)
    fake.add(before, "team/app", ["moves", "goes", "stays"])
    await asyncio.to_thread(owner.artifact, f"{fake.host}/team/app")
    pulls = await asyncio.to_thread(Pulls, owner, [penstock.registry, second.registry])

    async def serve(tag: str, image: Image | None) -> datetime:
        return await asyncio.to_thread(pulls.last_stale, tag, str(image.digest) if image else "")

    async def serve_after_a_sync(what: str, tag: str, image: Image | None) -> None:
        # They are looked at all the time: what is told is the last answer that was out of date.
        stale, ended = await asyncio.gather(serve(tag, image), asyncio.to_thread(pulls.sync))
        late = max((stale - ended).total_seconds(), 0)
        print(f"{what}: last stale answer of any worker {late:.2f} s after the sync ended")

    # Every worker has them in its memory.
    for tag in ("moves", "goes", "stays"):
        await serve(tag, before)

    fake.add(after, "team/app", ["moves"])
    await serve_after_a_sync("moved", "moves", after)

    fake.remove_tag("team/app", "goes")
    await asyncio.to_thread(pulls.sync)
    await serve("goes", before)
    await serve_after_a_sync("removed", "goes", None)
    await serve("stays", before)
    await serve("moves", after)
