"""A node and the real control plane decide together: the same table as with a scripted one, by HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from clients.oci.digest import Digest
from dataplane.node import Node
from dataplane.settings import Settings
from penstock.v1 import artifact_pb2, customer_pb2, node_pb2
from penstock.v1 import entitlement_pb2 as pb
from tests.attacks.installation import installed
from tests.fakes.images import Image, make_artifact
from tests.fakes.registry import FakeRegistry
from tests.fakes.waiting import until
from tests.integration.dataplane.conftest import Pulled, basic
from tests.integration.dataplane.shop import ABSENT, layer, version
from tests.servers.control_plane import Plane

ACME = "organizations/acme"
APP = f"{ACME}/artifacts/app"
UPSTREAM = "vendor/app"

# Who gets what: `1` for 200, `0` for 404 of a manifest or blob, `-` for 404 of the repository.
WHO = ("member", "all", "1.*", ">=2", "ended", "none")
TABLE = {
    "tag": "1110--",
    "tag of another version": "1101--",
    "tag that nothing has": "0000--",
    "index": "1110--",
    "child": "1110--",
    "foreign index": "1101--",
    "foreign child": "1101--",
    "moved": "1000--",
    "blob": "1110--",
    "foreign blob": "1101--",
    "moved blob": "1000--",
    "shared blob": "1111--",
    "signature": "1110--",
    "signature's blob": "1110--",
    "foreign signature": "1101--",
    "no manifest": "0000--",
    "no blob": "0000--",
}


@dataclass(frozen=True)
class Scene:
    """A vendor at a real control plane, a node, and a token of each kind of caller."""

    plane: Plane
    upstream: FakeRegistry
    node: Node
    client: aiohttp.ClientSession
    tokens: dict[str, str]
    paths: dict[str, str]

    async def ask(self, who: str, path: str, method: str = "GET") -> Pulled:
        """A request below the vendor's repository."""
        headers = {"Authorization": basic(self.tokens[who])}
        url = f"http://{self.node.registry_address}/v2/acme/app/{path}"
        async with self.client.request(method, url, headers=headers) as response:
            return Pulled(response.status, response.headers, await response.read())

    async def in_force(self) -> None:
        """Wait until the node runs what the control plane has."""

        async def done() -> bool:
            return self.node.state.revision == self.plane.revision()

        await until(done)


async def caller(plane: Plane, name: str, rule: pb.TagRule | None, ends: int | None = None) -> str:
    """The token of a new customer, with an entitlement where there is a rule."""
    customer = await plane.root.customers.CreateCustomer(
        customer_pb2.CreateCustomerRequest(parent=ACME, customer_id=name)
    )
    if rule is not None:
        entitlement = pb.Entitlement(
            customer=customer.name, grants=[pb.Entitlement.Grant(artifact=APP, tags=rule)]
        )
        request = pb.CreateEntitlementRequest(parent=ACME, entitlement_id=name, entitlement=entitlement)
        created = await plane.root.entitlements.CreateEntitlement(request)
        if ends is not None:
            changed = pb.Entitlement(name=created.name, expire_time=Timestamp(seconds=ends))
            update = pb.UpdateEntitlementRequest(entitlement=changed)
            update.update_mask.paths.append("expire_time")
            await plane.root.entitlements.UpdateEntitlement(update)
    _, secret = await plane.user("acme", "read_only", f"{name}@example.com", customer=customer.name)
    return secret


async def sync(plane: Plane) -> None:
    """Have the control plane take what the upstream has, and wait for it."""
    job = await plane.root.artifacts.SyncArtifact(artifact_pb2.SyncArtifactRequest(name=APP))

    async def ended() -> bool:
        request = artifact_pb2.GetSyncJobRequest(name=job.name)
        state = (await plane.root.artifacts.GetSyncJob(request)).state
        return state not in (artifact_pb2.SyncJob.PENDING, artifact_pb2.SyncJob.RUNNING)

    await until(ended)


@pytest.fixture
async def scene(tmp_path: Path, fake: FakeRegistry) -> AsyncIterator[Scene]:
    """All of it, running; nothing has been asked for yet."""
    moved, one, two = (version(number) for number in range(3))
    async with installed(tmp_path / "controlplane") as plane:
        fake.add(moved, UPSTREAM, ["1.0"])
        await plane.artifact("acme", "app", f"{fake.host}/{UPSTREAM}")
        await sync(plane)
        signatures: list[Image] = []
        for image, tags in ((one, ["1.0", "1.1"]), (two, ["2.0"])):
            fake.add(image, UPSTREAM, tags)
            signatures.append(make_artifact(payload=str(image.digest).encode(), subject=image))
            fake.add(signatures[-1], UPSTREAM, [])
        await sync(plane)
        tokens = {
            "member": (await plane.user("acme", "read_only"))[1],
            "all": await caller(plane, "all", pb.TagRule(all_tags=True)),
            "1.*": await caller(plane, "one", pb.TagRule(patterns=["1.*"])),
            ">=2": await caller(plane, "two", pb.TagRule(version_ranges=[">=2"])),
            "ended": await caller(plane, "ended", pb.TagRule(all_tags=True), ends=1_000_000_000),
            "none": await caller(plane, "none", None),
        }
        created = await plane.root.nodes.CreateNode(node_pb2.CreateNodeRequest(node_id="node"))
        settings = Settings(
            data_dir=tmp_path / "node",
            registry_listen="127.0.0.1:0",
            node_listen="127.0.0.1:0",
            address=str(plane.running.grpc),
            node_token=created.secret,
        )
        async with Node(settings, patience=0) as node, aiohttp.ClientSession() as client:
            scene = Scene(plane, fake, node, client, tokens, _paths(moved, one, two, signatures))
            await scene.in_force()
            yield scene


def _paths(moved: Image, one: Image, two: Image, signatures: list[Image]) -> dict[str, str]:
    shared: Digest = one.children[0].layers[0].digest
    return {
        "tag": "manifests/1.0",
        "tag of another version": "manifests/2.0",
        "tag that nothing has": "manifests/1.999",
        "index": f"manifests/{one.digest}",
        "child": f"manifests/{one.children[0].digest}",
        "foreign index": f"manifests/{two.digest}",
        "foreign child": f"manifests/{two.children[0].digest}",
        "moved": f"manifests/{moved.digest}",
        "blob": f"blobs/{layer(one)}",
        "foreign blob": f"blobs/{layer(two)}",
        "moved blob": f"blobs/{layer(moved)}",
        "shared blob": f"blobs/{shared}",
        "signature": f"manifests/{signatures[0].digest}",
        "signature's blob": f"blobs/{layer(signatures[0])}",
        "foreign signature": f"manifests/{signatures[1].digest}",
        "no manifest": f"manifests/{ABSENT}",
        "no blob": f"blobs/{ABSENT}",
    }


async def test_who_gets_what(scene: Scene) -> None:
    """102 combinations of caller and reference, each cold or warm as it comes, by GET and by HEAD."""

    async def wrong(who: str, kind: str, expected: str) -> tuple[object, ...] | None:
        path = scene.paths[kind]
        answers = [await scene.ask(who, path, method) for method in ("GET", "HEAD")]
        statuses = [answer.status for answer in answers]
        if expected == "1":
            return None if statuses == [200, 200] else (who, kind, statuses)
        unknown = answers[0].code == "NAME_UNKNOWN"
        fits = statuses == [404, 404] and unknown == (expected == "-")
        return None if fits else (who, kind, statuses, answers[0].body)

    for who, column in reversed(list(zip(WHO, zip(*TABLE.values(), strict=True), strict=True))):
        found = await asyncio.gather(*(wrong(who, *item) for item in zip(TABLE, column, strict=True)))
        assert not [each for each in found if each]


async def test_an_entitlement_that_is_taken_back(scene: Scene) -> None:
    """Nothing of what was pulled a moment ago, as soon as the node has heard; the last one opens nothing."""
    for path in ("manifests/1.0", scene.paths["index"], scene.paths["blob"], "tags/list"):
        assert (await scene.ask("1.*", path)).status == 200
    delete = pb.DeleteEntitlementRequest(name=f"{ACME}/entitlements/one")
    await scene.plane.root.entitlements.DeleteEntitlement(delete)
    await scene.in_force()
    for path in ("manifests/1.0", scene.paths["index"], scene.paths["blob"], "tags/list"):
        answer = await scene.ask("1.*", path)
        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
