"""What clients get when the upstream errs: never wrong bytes, never a 404 for what is only out of reach."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from tests.fakes.blobs import BytesBlob, content_of
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.servers import http
from tests.servers.penstock import Organization
from tests.servers.pulling import digest_of, session

SIZE = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cold:
    """An artifact whose one layer was never fetched."""

    fake: FakeRegistry
    client: aiohttp.ClientSession
    repository: str
    digest: str

    async def pull(self) -> str:
        return await digest_of(self.client, f"/v2/{self.repository}/blobs/{self.digest}")

    async def status(self, path: str) -> tuple[int, str, str]:
        """Status, error code and Retry-After of a GET below the repository."""
        async with self.client.get(f"/v2/{self.repository}/{path}") as response:
            document = await response.json(content_type=None)
            return response.status, document["errors"][0]["code"], response.headers.get("Retry-After", "")


@pytest.fixture
async def cold(fake: FakeRegistry, organization: Organization, artifact_id: str) -> AsyncIterator[Cold]:
    """A synced artifact with one cold layer of 3 MiB; faults are the test's."""
    seed = int(artifact_id.removeprefix("app"))
    image = fake.add(make_image(layers=[SIZE], seed=seed), "team/app", ["1.0"])
    await asyncio.to_thread(organization.artifact, f"{fake.host}/team/app", artifact_id)
    token = await asyncio.to_thread(lambda: organization.token)
    async with session(organization.penstock.registry, http.basic(token)) as client:
        yield Cold(fake, client, f"{organization.name}/{artifact_id}", str(image.layers[0].digest))


@pytest.mark.parametrize("offset", [0, SIZE // 2, SIZE - 1], ids=["first", "middle", "last"])
async def test_corrupt_blob(cold: Cold, offset: int) -> None:
    """One wrong byte anywhere: the transfer is cut short, nothing is kept, the next request tries again."""
    fault = cold.fake.faults.add("blobs", corrupt_at=offset)
    for _ in range(2):
        asked = cold.fake.count("GET", "blobs")
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientResponseError)):
            await cold.pull()
        assert cold.fake.count("GET", "blobs") > asked, "what was wrong must not be kept"
    fault.times = 0
    assert await cold.pull() == cold.digest


async def test_short_blob(cold: Cold) -> None:
    """An upstream that has fewer bytes than the manifest says: no client takes them for the whole."""
    blobs = cold.fake.repositories["team/app"].blobs
    whole = blobs[cold.digest]
    blobs[cold.digest] = BytesBlob(content_of(whole)[:-1000])
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientResponseError)):
        await cold.pull()
    blobs[cold.digest] = whole
    assert await cold.pull() == cold.digest


@pytest.mark.parametrize("ignore_range", [False, True], ids=["ranges", "no-ranges"])
async def test_transfer_that_breaks_off(cold: Cold, *, ignore_range: bool) -> None:
    """The upstream breaks off in the middle: the client gets the whole blob all the same."""
    cold.fake.faults.add("blobs", cut_after=SIZE // 3, times=1)
    cold.fake.faults.add("blobs", ignore_range=ignore_range)
    assert await cold.pull() == cold.digest
    ranges = [seen.headers.get("Range") for seen in cold.fake.requests if seen.reference == cold.digest]
    assert ranges[0] is None
    assert len(ranges) == 2


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        pytest.param({"status": 500}, (503, "UNAVAILABLE"), id="500"),
        pytest.param({"status": 401}, (502, "UPSTREAM_DENIED"), id="401"),
        pytest.param({"status": 403}, (502, "UPSTREAM_DENIED"), id="403"),
        pytest.param({"status": 429, "headers": {"Retry-After": "7"}}, (429, "TOOMANYREQUESTS"), id="429"),
        pytest.param({"drop": True}, (503, "UNAVAILABLE"), id="hangs-up"),
    ],
)
@pytest.mark.parametrize("kind", ["blobs", "manifests"])
async def test_upstream_errors(
    cold: Cold, kind: str, upstream: dict[str, object], expected: tuple[int, str]
) -> None:
    """Trouble upstream is named as that: never a 404, never a 401 that would make the client log in again."""
    cold.fake.faults.add(kind, **upstream)
    path = f"blobs/{cold.digest}" if kind == "blobs" else "manifests/never-seen"
    status, code, retry_after = await cold.status(path)
    assert (status, code) == expected
    if status in (429, 503):
        assert int(retry_after) >= 1
    cold.fake.faults.clear()


async def test_upstream_away(cold: Cold) -> None:
    """A tag that nobody ever asked for, with the upstream gone: not unknown, but out of reach."""
    await cold.fake.stop()
    status, code, _ = await cold.status("manifests/never-seen")
    assert (status, code) == (503, "UNAVAILABLE")
