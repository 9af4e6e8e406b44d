"""A data-plane process needs no more memory for many large transfers than it has."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.servers import http
from tests.servers.penstock import Penstock
from tests.servers.pulling import SlowReader, digest_of, session

MIB = 1024 * 1024
PULLS = 200
SIZE = 500 * MIB
LIMIT = 300 * MIB


def peak_memory(pid: int) -> int:
    """The most resident memory that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    (kib,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kib) * 1024


@pytest.mark.slow
async def test_resident_memory_with_200_pulls_in_flight(fake: FakeRegistry, apart: Penstock) -> None:
    """200 slow readers of a 500 MiB blob, at different places of it, while it is fetched and afterwards."""
    image = fake.add(make_image(layers=[SIZE], seed=500), "team/huge", ["1.0"])
    digest = str(image.layers[0].digest)
    gate = asyncio.Event()
    fake.faults.add("blobs", reference=digest, pause_after=SIZE // 8, gate=gate)
    organization = await asyncio.to_thread(apart.organization)
    await asyncio.to_thread(organization.artifact, f"{fake.host}/team/huge")
    authorization = http.basic(await asyncio.to_thread(lambda: organization.token))
    path = f"/v2/{organization.name}/app/blobs/{digest}"
    pid = apart.planes["dataplane"].pid

    async def readers() -> list[SlowReader]:
        made = [SlowReader(apart.registry, path, authorization) for _ in range(PULLS)]
        await asyncio.gather(*(reader.start() for reader in made))
        await asyncio.gather(*(reader.read(place % 20 * MIB // 4) for place, reader in enumerate(made)))
        return made

    async with asyncio.timeout(100):
        cold = await readers()
        gate.set()
        async with session(apart.registry, authorization) as client:
            assert await digest_of(client, path) == digest
        # The blob is on disk now, and those who came first are still at its beginning.
        await asyncio.gather(*(reader.read(MIB) for reader in cold))
        assert peak_memory(pid) < LIMIT
        for reader in cold:
            await reader.close()
        warm = await readers()
        assert peak_memory(pid) < LIMIT
        for reader in warm:
            await reader.close()
    assert [seen.method for seen in fake.requests if seen.reference == digest] == ["GET"]
