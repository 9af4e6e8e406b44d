"""What a node has of an image, as it tells members of the organization, and nobody else."""

import asyncio
from typing import Any

import pytest

from dataplane.http import cached
from tests.fakes.images import make_image, make_index
from tests.integration.dataplane.conftest import Pulled, Setup, seen

PATH = "/cached/acme/app?reference=1.0"


async def told(setup: Setup, path: str = PATH, **headers: str) -> Pulled:
    """What the node's own port answers."""
    return await setup.request("GET", path, base=setup.node.node_address, **headers)


def states(answer: Any, of: str) -> dict[str, str]:
    """What is said of each manifest or blob."""
    return {entry["digest"]: entry["state"] for entry in answer[of]}


async def left(setup: Setup, digest: str, state: str) -> str:
    """What a blob becomes after this state: the last byte is sent a moment before it has its name."""
    async with asyncio.timeout(30):
        while (now := states((await told(setup)).json, "blobs")[digest]) == state:  # noqa: ASYNC110 - see until
            await asyncio.sleep(0.01)
    return now


async def test_an_image_from_absent_to_stored(setup: Setup) -> None:
    """Nothing, then what was pulled and what is coming; nobody is asked for the answer."""
    image = make_image([3_000_000, 1000])
    await setup.artifact(image)
    config, large, small = map(str, image.blobs)
    assert (await told(setup)).json == {"manifests": [], "blobs": [], "cut": False, "bucket": False}
    assert setup.plane.calls["ResolveReference"] == 0

    await setup.get("manifests/1.0")
    await setup.get(f"blobs/{small}")
    assert await left(setup, small, "fetching") == "stored"
    gate = asyncio.Event()
    setup.upstream.faults.add("blobs", pause_after=1_000_000, gate=gate)
    pulling = asyncio.create_task(setup.get(f"blobs/{large}"))
    assert await left(setup, large, "absent") == "fetching"
    asked = setup.plane.calls.copy(), setup.upstream.totals()
    answer = (await told(setup)).json
    assert states(answer, "manifests") == {str(image.digest): "held"}
    assert states(answer, "blobs") == {config: "absent", large: "fetching", small: "stored"}
    assert answer["manifests"][0]["size"] == len(image.manifest)
    assert {blob["size"] for blob in answer["blobs"]} == {blob.size for blob in image.blobs.values()}
    assert (await told(setup, f"/cached/acme/app?reference={image.digest}")).json == answer
    for method in ("ResolveReference", "ResolveBlob"):
        assert setup.plane.calls[method] == asked[0][method]
    assert setup.upstream.totals() == asked[1]
    gate.set()
    assert (await pulling).status == 200
    assert await left(setup, large, "fetching") == "stored"


async def test_what_is_behind_an_index(setup: Setup) -> None:
    """Of platforms that nobody pulled the manifest is absent, and of their blobs nothing is known."""
    one, two = make_image(seed=1), make_image(seed=2)
    await setup.artifact(make_index([one, two]))
    await setup.get("manifests/1.0")
    await setup.get(f"manifests/{one.digest}")
    answer = (await told(setup)).json
    assert list(states(answer, "manifests").values()) == ["held", "held", "absent"]
    assert set(states(answer, "blobs")) == set(map(str, one.blobs))


async def test_what_has_changed_since_is_stale(setup: Setup) -> None:
    """The node would ask again before it serves it; what is on disk counts after a restart."""
    image = make_image()
    artifact = await setup.artifact(image)
    await setup.get("manifests/1.0")
    await setup.restart()
    await setup.in_force()
    assert list(states((await told(setup)).json, "manifests").values()) == ["held"]
    setup.plane.touch(artifact)
    await setup.in_force()
    assert list(states((await told(setup)).json, "manifests").values()) == ["stale"]


async def test_the_answer_is_bounded(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says when there is more."""
    monkeypatch.setattr(cached, "MOST_MANIFESTS", 2)
    monkeypatch.setattr(cached, "MOST_BLOBS", 3)
    images = [make_image([100, 200, 300], seed=seed) for seed in range(2)]
    await setup.artifact(make_index(images))
    await setup.get("manifests/1.0")
    for image in images:
        await setup.get(f"manifests/{image.digest}")
    answer = (await told(setup)).json
    assert (len(answer["manifests"]), len(answer["blobs"]), answer["cut"]) == (2, 3, True)


async def test_only_members_are_told(setup: Setup) -> None:
    """For all others, and of what is not there, the answer is that of an unknown path, byte for byte."""
    plane = setup.plane
    await setup.artifact(make_image())
    await setup.get("manifests/1.0")
    acme = next(uid for uid, entry in plane.organizations.items() if entry.organization_id == "acme")
    tokens = {
        "customer": plane.add_token(acme, customer_uid=plane.add_customer(acme)),
        "stranger": plane.add_token(plane.add_organization("globex")),
        "ended": plane.add_token(acme, expires_at=1),
        "unknown": "pst_nobody",
    }
    administrator = plane.add_token()
    await setup.in_force()
    unknown = await told(setup, "/nothing")
    assert unknown.status == 404
    for who, token in tokens.items():
        assert seen(await told(setup, token=token)) == seen(unknown), who
    assert seen(await told(setup, Authorization="")) == seen(unknown)
    assert await setup.metric("penstock_node_sign_in_failures_total", reason="expired") == 1
    for path in (
        "/cached/acme/none?reference=1.0",
        "/cached/acme/app",
        "/cached/acme/app?reference=",
        "/cached/acme/..%2fapp?reference=1.0",
        "/cached/ACME/app?reference=1.0",
        "/cached/acme/app?reference=sha256:1",
        "/cached/acme/app?reference=1.0&x=" + "y" * 3000,
        "/cached/",
    ):
        assert seen(await told(setup, path)) == seen(unknown), path
    assert (await told(setup, token=administrator)).status == 200
