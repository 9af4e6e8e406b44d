"""`kill -9` at any moment: nothing that was acknowledged is lost, and no half blob is ever served."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from clients.control.client import ControlClient
from clients.control.errors import Unavailable, translated
from penstock.v1.organization_pb2 import CreateOrganizationRequest
from tests.fakes.faults import Fault
from tests.fakes.images import Image, make_image
from tests.fakes.registry import FakeRegistry
from tests.servers import http
from tests.servers.penstock import Organization, Penstock
from tests.servers.pulling import digest_of, session

pytestmark = pytest.mark.slow

SIZE = 4 * 1024 * 1024


async def until(condition: Callable[[], bool], meanwhile: "asyncio.Task[Any] | None" = None) -> None:
    """Waits for something that must happen while a task still runs."""
    async with asyncio.timeout(60):
        while not condition():
            if meanwhile is not None and meanwhile.done():
                pytest.fail(f"ended too soon with {meanwhile.result()!r}")
            await asyncio.sleep(0.01)


@asynccontextmanager
async def begun(work: Coroutine[Any, Any, Any]) -> "AsyncIterator[asyncio.Task[Any]]":
    """Runs something beside the test; it ends with the block at the latest."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def pull(organization: Organization, digest: str) -> str:
    """Pulls a blob of the organization's artifact to its end; gives the digest of what came."""
    authorization = http.basic(organization.token)
    async with session(organization.penstock.registry, authorization) as client:
        return await digest_of(client, f"/v2/{organization.name}/app/blobs/{digest}")


async def serve(penstock: Penstock, fake: FakeRegistry, *images: Image) -> Organization:
    """An organization with a token and a synced artifact `app` that holds the images, tagged 0, 1, ..."""
    for tag, image in enumerate(images):
        fake.add(image, "team/app", [str(tag)])

    def create() -> Organization:
        organization = penstock.organization()
        organization.artifact(f"{fake.host}/team/app")
        assert organization.token
        return organization

    return await asyncio.to_thread(create)


async def test_data_plane_in_the_middle_of_a_blob(fake: FakeRegistry, apart: Penstock) -> None:
    """Killed when none, some, or all but the last bytes have come: the next start serves the whole blob."""
    places = [0, 1, SIZE // 3, SIZE - 1]
    images = [make_image(layers=[SIZE], seed=seed) for seed in range(len(places))]
    organization = await serve(apart, fake, *images)
    for place, image in zip(places, images, strict=True):
        digest = str(image.layers[0].digest)
        held: Fault = fake.faults.add("blobs", reference=digest, pause_after=place, times=1)

        def there(held: Fault = held, place: int = place) -> bool:
            return held.times == 0 and fake.requests[-1].sent >= place

        async with begun(pull(organization, digest)) as client:
            await until(there, client)
            apart.planes["dataplane"].kill()
            with pytest.raises(aiohttp.ClientError):
                await client
        apart.start_plane("dataplane")
        assert await pull(organization, digest) == digest


async def test_data_plane_after_a_pull(fake: FakeRegistry, apart: Penstock) -> None:
    """What was served warm once is still there after a kill, upstream and control plane gone as well."""
    image = make_image(layers=[SIZE], seed=1)
    organization = await serve(apart, fake, image)
    digest = str(image.layers[0].digest)
    for _ in range(2):
        assert await pull(organization, digest) == digest
        apart.planes["dataplane"].kill()
        apart.start_plane("dataplane")
    assert await pull(organization, digest) == digest
    tagged = await asyncio.to_thread(organization.request, "GET", "app/manifests/0")
    assert tagged.body == image.manifest
    asked = fake.count("GET", "blobs")

    await fake.stop()
    for plane in ("controlplane", "dataplane"):
        apart.planes[plane].kill()
    apart.start_plane("dataplane")
    assert await pull(organization, digest) == digest
    for reference in ("0", str(image.digest)):
        answer = await asyncio.to_thread(organization.request, "GET", f"app/manifests/{reference}")
        assert answer.status == 200
        assert answer.body == image.manifest
    unknown = await asyncio.to_thread(organization.request, "GET", "app/manifests/never-seen")
    assert unknown.status in (502, 503, 504), "out of reach is not unknown"
    assert fake.count("GET", "blobs") == asked


async def test_control_plane_in_the_middle_of_changes(apart: Penstock) -> None:
    """Killed while changes come in as fast as they can: each that was acknowledged is there afterwards."""
    names = (f"made{number}" for number in itertools.count())
    acknowledged: list[str] = []

    async def change() -> None:
        async with ControlClient(apart.grpc, apart.admin_token) as control:
            for name in names:
                with translated():
                    await control.organizations.CreateOrganization(
                        CreateOrganizationRequest(organization_id=name)
                    )
                acknowledged.append(f"organizations/{name}")

    for count in (1, 5, 17):
        goal = len(acknowledged) + count
        async with begun(change()) as changes:
            await until(lambda goal=goal: len(acknowledged) >= goal, changes)
            apart.planes["controlplane"].kill()
            with pytest.raises(Unavailable):
                await changes
        apart.start_plane("controlplane")
        listed = await asyncio.to_thread(apart.json, "organizations", "list")
        assert set(acknowledged) <= {organization["name"] for organization in listed}


async def test_control_plane_in_the_middle_of_a_sync(fake: FakeRegistry, apart: Penstock) -> None:
    """The artifact stays, the sync is taken up or done anew, and the data plane finds its way back."""
    images = [make_image(layers=[SIZE], seed=seed) for seed in range(3)]
    for tag, image in enumerate(images):
        fake.add(image, "team/app", [str(tag)])
    organization = await asyncio.to_thread(apart.organization)
    token = await asyncio.to_thread(lambda: organization.token)
    assert token
    held = fake.faults.add("manifests", method="GET", stall=True, times=1)
    upstream = f"{fake.host}/team/app"
    await asyncio.to_thread(lambda: organization.artifact(upstream, wait=False))
    await until(lambda: held.times == 0)
    apart.planes["controlplane"].kill()
    apart.start_plane("controlplane")
    path = f"{organization.name}/app"
    await asyncio.to_thread(apart.cli, "artifacts", "sync", path, "--wait")
    tags = await asyncio.to_thread(apart.json, "tags", "list", path)
    assert [tag["name"].rpartition("/")[2] for tag in tags] == ["0", "1", "2"]
    digest = str(images[2].layers[0].digest)
    assert await pull(organization, digest) == digest


async def test_either_plane_under_penstock_up(fake: FakeRegistry, tmp_path: Path) -> None:
    """`penstock up` starts a plane that was killed again; killed itself, it takes both along."""
    penstock = Penstock(tmp_path / "penstock")
    try:
        penstock.start()
        image = make_image(layers=[SIZE], seed=1)
        organization = await serve(penstock, fake, image)
        digest = str(image.layers[0].digest)
        for child in await asyncio.to_thread(children, penstock.planes["up"].pid):
            os.kill(child, signal.SIGKILL)
            await until(lambda child=child: not alive(child))
            await asyncio.to_thread(penstock.wait_ready)
            # A node finds a control plane that is back within two seconds.
            path = f"/v2/{organization.name}/app/blobs/{digest}"
            await asyncio.to_thread(penstock.wait_served, path, organization.token)
            assert await pull(organization, digest) == digest

        planes = await asyncio.to_thread(children, penstock.planes["up"].pid)
        os.kill(penstock.planes["up"].pid, signal.SIGKILL)
        await until(lambda: not any(alive(plane) for plane in planes))
        penstock.planes["up"].kill()
        penstock.start()
        assert await pull(organization, digest) == digest
    finally:
        penstock.stop()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    assert found
    return found


def alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
