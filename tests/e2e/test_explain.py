"""`penstock explain --node`: which of two nodes has the bytes, as support staff asks."""

import asyncio

import pytest

from tests.fakes.images import Image, make_image
from tests.fakes.registry import FakeRegistry
from tests.servers import http
from tests.servers.node import Node
from tests.servers.penstock import Organization, Penstock

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300)]


class Support:
    """Somebody of the organization, who asks about a customer's pulls."""

    def __init__(self, owner: Organization, nodes: list[str]) -> None:
        self.owner, self.nodes = owner, nodes
        cli, name = owner.penstock.cli, owner.name
        cli("customers", "create", f"{name}/globex")
        cli("users", "create", name, "c@example.com", "--role", "read_only", "--customer", "globex")
        self.customer = cli("tokens", "create", name, "c@example.com").out.strip()
        self.customer_id = owner.penstock.json("tokens", "list", name, "c@example.com")[0]["uid"]

    def explain(self, *output: str) -> str:
        """What the command prints."""
        nodes = [option for node in self.nodes for option in ("--node", f"http://{node}")]
        reference = f"{self.owner.name}/app:1.0"
        return self.owner.penstock.cli(
            *("explain", "--token-id", self.customer_id, *nodes, reference, *output), token=self.owner.token
        ).out

    def cached_where(self) -> list[str]:
        """What is said of each node."""
        lines = self.explain().splitlines()
        return [line.partition(": ")[2] for line in lines if line.startswith("cached where")]

    def pull(self, registry: str, image: Image) -> None:
        """Pull an image from a node, as the customer."""
        parts = ["manifests/1.0", *(f"blobs/{digest}" for digest in image.blobs)]
        for part in parts:
            headers = {"Authorization": http.basic(self.customer)}
            answer = http.request(registry, "GET", f"/v2/{self.owner.name}/app/{part}", headers=headers)
            assert answer.status == 200


async def test_where_the_bytes_are(of_workers: Penstock, second_of_workers: Node, fake: FakeRegistry) -> None:
    """Nowhere, then on the node that served them and only there; a node that is stopped is said to be."""
    penstock, second = of_workers, second_of_workers
    owner = await asyncio.to_thread(penstock.organization)
    image = make_image([200_000, 1000])
    fake.add(image, "team/app", ["1.0"])
    await asyncio.to_thread(owner.artifact, f"{fake.host}/team/app")
    support = await asyncio.to_thread(Support, owner, [penstock.node, second.node])
    path = f"/v2/{owner.name}/app/tags/list"
    for place in (penstock, second):
        await asyncio.to_thread(place.wait_served, path, support.customer)
        await asyncio.to_thread(place.wait_served, path, owner.token)

    nothing = "It holds no manifest of 1.0: the control plane would be asked."
    assert await asyncio.to_thread(support.cached_where) == [nothing, nothing]

    await asyncio.to_thread(support.pull, second.registry, image)
    size = sum(blob.size for blob in image.blobs.values())
    all_of_it = f"manifests: 1 of 1 held; blobs: 3 stored ({size} bytes)."
    async with asyncio.timeout(30):
        # The last bytes are sent a moment before the blob has its name.
        while (found := await asyncio.to_thread(support.cached_where)) != [nothing, all_of_it]:
            assert found[0] == nothing
    print(await asyncio.to_thread(support.explain))

    headers = {"Authorization": http.basic(support.customer)}
    cached = f"/cached/{owner.name}/app?reference=1.0"
    refused = await asyncio.to_thread(http.request, second.node, "GET", cached, headers=headers)
    unknown = await asyncio.to_thread(http.request, second.node, "GET", "/nothing", headers=headers)
    assert (refused.status, refused.body) == (unknown.status, unknown.body) == (404, refused.body)

    await asyncio.to_thread(second.stop)
    first, last = await asyncio.to_thread(support.cached_where)
    assert first == nothing
    assert last.startswith("It does not say: ")
    print(await asyncio.to_thread(support.explain))
