"""The fake registry does what its script says, which other tests rely on; its readers test the rest."""

import asyncio
import json
import signal
import sys
import time

import aiohttp
import pytest

from tests.fakes.images import make_artifact, make_image
from tests.fakes.registry import FakeRegistry

IMAGE = make_image([b"layer", 1_000_448])
LARGE = IMAGE.layers[1]


async def get(url: str, **headers: str) -> tuple[int, bytes]:
    """Status and body of a GET."""
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_it_counts_what_it_is_asked_and_sends(fake: FakeRegistry) -> None:
    """By method and kind, and in bytes of blobs."""
    fake.add(IMAGE, "a", ["1"])
    base = f"{fake.base_url}/v2/a"
    await get(f"{base}/manifests/1")
    await get(f"{base}/blobs/{LARGE.digest}", Range="bytes=10-19")
    status, body = await get(f"{base}/blobs/{LARGE.digest}")
    assert (status, len(body)) == (200, LARGE.size)
    assert (fake.count(), fake.count("GET", "blobs"), fake.count("HEAD")) == (3, 2, 0)
    assert fake.bytes_sent == LARGE.size + 10
    assert fake.totals() == {"GET manifests": 1, "GET blobs": 2}


async def test_a_gate_holds_bytes_back(fake: FakeRegistry) -> None:
    """So that a test decides when a transfer goes on."""
    fake.add(IMAGE, "a", ["1"])
    gate = asyncio.Event()
    fake.faults.add("blobs", pause_after=1000, gate=gate)
    url = f"{fake.base_url}/v2/a/blobs/{LARGE.digest}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert len(await answer.content.readexactly(1000)) == 1000
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(answer.content.readany(), 0.05)
        assert fake.bytes_sent == 1000
        gate.set()
        assert len(await answer.read()) == LARGE.size - 1000


async def test_faults_happen_in_order_and_run_out(fake: FakeRegistry) -> None:
    """Each for as many requests as it was added for, and only to those that it names."""
    fake.add(IMAGE, "a", ["1", "2"])
    fake.faults.add("manifests", status=503, times=1)
    fake.faults.add("manifests", status=404, reference="2", times=1)
    answers = [(await get(f"{fake.base_url}/v2/a/manifests/{tag}"))[0] for tag in ("1", "1", "2", "2")]
    assert answers == [503, 200, 404, 200]


async def test_corruption_is_of_one_byte(fake: FakeRegistry) -> None:
    """At the offset in the content, also where a range is asked for."""
    fake.add(IMAGE, "a", ["1"])
    fake.faults.add("blobs", corrupt_at=500_000)
    url = f"{fake.base_url}/v2/a/blobs/{LARGE.digest}"
    good = b"".join(LARGE.read(0, LARGE.size))
    for start in (0, 400_000):
        _, bad = await get(url, Range=f"bytes={start}-")
        assert [at + start for at, byte in enumerate(bad) if byte != good[at + start]] == [500_000]


async def test_slowness_takes_time(fake: FakeRegistry) -> None:
    """A rate is kept to, more or less."""
    fake.add(IMAGE, "a", ["1"])
    fake.faults.add("blobs", rate=5_000_000)
    begun = time.monotonic()
    await get(f"{fake.base_url}/v2/a/blobs/{LARGE.digest}")
    assert time.monotonic() - begun > 0.15


async def test_it_starts_again_on_the_same_port(fake: FakeRegistry) -> None:
    """An upstream may be away for a while; a stop ends what is under way."""
    fake.add(IMAGE, "a", ["1"])
    fake.faults.add("blobs", pause_after=1, times=1)
    url = f"{fake.base_url}/v2/a/blobs/{LARGE.digest}"
    held = asyncio.create_task(get(url))
    await fake.asked("blobs")
    await fake.stop()
    with pytest.raises(aiohttp.ClientError):
        await held
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(url)
    await fake.start()
    assert (await get(url))[0] == 200


async def test_referrers_by_subject_and_type(fake: FakeRegistry) -> None:
    """An index of what refers to a digest; without the API, 404."""
    fake.add(IMAGE, "a", ["1"])
    artifact = fake.add(make_artifact("application/vnd.example.sbom", subject=IMAGE), "a")
    url = f"{fake.base_url}/v2/a/referrers/{IMAGE.digest}"
    assert [one["digest"] for one in json.loads((await get(url))[1])["manifests"]] == [str(artifact.digest)]
    assert json.loads((await get(f"{url}?artifactType=other/type"))[1])["manifests"] == []
    fake.referrers = False
    assert (await get(url))[0] == 404


async def test_it_runs_by_itself() -> None:
    """As `make demo` starts it: the address on the first line, what was asked on the last."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.registry", "--layer-mib", "1", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    started = json.loads(await process.stdout.readline())
    status, _ = await get(f"http://{started['address']}/v2/{started['repository']}/manifests/1.0")
    assert status == 200
    process.send_signal(signal.SIGTERM)
    assert json.loads(await process.stdout.readline()) == {"requests": {"GET manifests": 1}, "blob_bytes": 0}
    assert await process.wait() == 0
