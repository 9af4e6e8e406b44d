"""However many clients ask for a cold blob, the upstream is asked once, and nobody waits for the end."""

import asyncio

import pytest

from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.servers import http
from tests.servers.penstock import Organization
from tests.servers.pulling import digest_of, session

CLIENTS = 32
SIZE = 200 * 1024 * 1024


@pytest.mark.slow
async def test_many_clients_on_one_cold_blob(
    fake: FakeRegistry, organization: Organization, artifact_id: str
) -> None:
    """32 clients at once: one upstream request; every client reads while nine tenths are still to come."""
    image = fake.add(make_image(layers=[SIZE], seed=32), "team/big", ["1.0"])
    digest = str(image.layers[0].digest)
    gate = asyncio.Event()
    # Until the gate opens, a sixteenth of the blob is all that there is anywhere.
    fake.faults.add("blobs", reference=digest, pause_after=SIZE // 16, gate=gate)
    await asyncio.to_thread(organization.artifact, f"{fake.host}/team/big", artifact_id)
    started = asyncio.Semaphore(0)
    path = f"/v2/{organization.name}/{artifact_id}/blobs/{digest}"
    token = await asyncio.to_thread(lambda: organization.token)
    async with (
        session(organization.penstock.registry, http.basic(token)) as client,
        asyncio.TaskGroup() as tasks,
    ):
        pulls = [
            tasks.create_task(digest_of(client, path, on_first_byte=started.release)) for _ in range(CLIENTS)
        ]
        async with asyncio.timeout(60):
            for _ in range(CLIENTS):
                await started.acquire()
        assert fake.bytes_sent < SIZE // 10
        gate.set()
    assert {pull.result() for pull in pulls} == {digest}
    assert [seen.method for seen in fake.requests if seen.reference == digest] == ["GET"]
    assert fake.bytes_sent == SIZE
