"""What clients see when an upstream, or the control plane for it, does something wrong."""

import asyncio
import time

import grpc
import pytest

from tests.fakes.aborts import Fault
from tests.fakes.blobs import content_of
from tests.fakes.images import make_image
from tests.integration.dataplane.conftest import Setup, until

LARGE = 3_000_000

pytestmark = pytest.mark.usefixtures("at_rest")


@pytest.mark.parametrize(
    ("fault", "status", "code", "retry_after"),
    [
        ({"status": 401}, 502, "UPSTREAM_DENIED", None),
        ({"status": 403}, 502, "UPSTREAM_DENIED", None),
        ({"status": 404}, 404, "BLOB_UNKNOWN", None),
        ({"status": 429, "headers": {"Retry-After": "17"}}, 429, "TOOMANYREQUESTS", "17"),
        ({"status": 500}, 503, "UNAVAILABLE", "5"),
        ({"status": 503}, 503, "UNAVAILABLE", "5"),
        ({"drop": True}, 503, "UNAVAILABLE", "5"),
        ({"headers": {"Content-Encoding": "gzip"}}, 502, "UPSTREAM_INVALID", None),
        ({"content_length": 10, "headers": {"Content-Length": "10"}}, 502, "UPSTREAM_INVALID", None),
        ({"redirect": "http://127.0.0.1:1/", "redirect_status": 307}, 503, "UNAVAILABLE", "5"),
    ],
)
async def test_an_upstream_that_fails_at_once_gets_a_status(
    setup: Setup, fault: dict[str, object], status: int, code: str, retry_after: str | None
) -> None:
    """Never 401, never 404 for trouble, never a 200 that breaks off; and the next request tries again."""
    image = make_image([LARGE])
    await setup.artifact(image)
    blob = image.layers[0]
    setup.upstream.faults.add("blobs", **fault)
    answer = await setup.get(f"blobs/{blob.digest}")
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers.get("Retry-After") == retry_after
    assert "WWW-Authenticate" not in answer.headers
    setup.upstream.faults.clear()
    assert (await setup.get(f"blobs/{blob.digest}")).body == content_of(blob)


async def test_the_upstream_of_one_organization_holds_up_no_other(setup: Setup) -> None:
    """Two have the same blob, and one of them an upstream that stops: the other's clients do not wait."""
    image = make_image([LARGE])
    await setup.artifact(image)
    other = setup.plane.add_token(setup.plane.add_organization("globex"))
    await setup.artifact(image, repository="globex/app")
    blob, gate = image.layers[0], asyncio.Event()
    setup.upstream.faults.add("blobs", pause_after=1000, gate=gate, times=1)
    held_up = asyncio.create_task(setup.get(f"blobs/{blob.digest}"))
    await setup.upstream.asked("blobs")
    async with asyncio.timeout(10):
        answer = await setup.request("GET", f"/v2/globex/app/blobs/{blob.digest}", token=other)
    assert (answer.status, answer.body) == (200, content_of(blob))
    gate.set()
    assert (await held_up).body == content_of(blob)
    # What is verified is everybody's.
    assert (await setup.get(f"blobs/{blob.digest}")).body == content_of(blob)
    assert setup.upstream.count(kind="blobs") == 2


async def test_a_corrupt_blob_is_cut_short_and_not_kept(setup: Setup) -> None:
    """The bytes sent so far were announced to be more; the next request gets them all, and right."""
    image = make_image([LARGE])
    await setup.artifact(image)
    blob = image.layers[0]
    setup.upstream.faults.add("blobs", corrupt_at=LARGE // 2, times=1)
    answer = await setup.get(f"blobs/{blob.digest}")
    assert (answer.status, answer.broken) == (200, True)
    assert len(answer.body) < blob.size
    again = await setup.get(f"blobs/{blob.digest}")
    assert (again.status, again.broken, again.body) == (200, False, content_of(blob))
    assert await setup.metric("penstock_node_digest_mismatches_total") == 1


async def test_a_small_corrupt_blob_is_an_error(setup: Setup) -> None:
    """Nothing of it was sent, so that there is still time for a status."""
    image = make_image([b"small"])
    await setup.artifact(image)
    blob = image.layers[0]
    setup.upstream.faults.add("blobs", corrupt_at=10, times=1)
    answer = await setup.get(f"blobs/{blob.digest}")
    assert (answer.status, answer.code) == (502, "UPSTREAM_INVALID")
    assert (await setup.get(f"blobs/{blob.digest}")).body == content_of(blob)


async def test_an_upstream_that_breaks_off_is_not_noticed(setup: Setup) -> None:
    """The fetch goes on from where it stopped."""
    image = make_image([LARGE])
    await setup.artifact(image)
    blob = image.layers[0]
    setup.upstream.faults.add("blobs", cut_after=LARGE // 2, times=1)
    answer = await setup.get(f"blobs/{blob.digest}")
    assert (answer.status, answer.body) == (200, content_of(blob))
    assert await setup.metric("penstock_node_fetch_resumes_total") == 1


async def test_an_upstream_that_goes_for_good_cuts_the_transfer(setup: Setup) -> None:
    """A body that began never ends cleanly before its length."""
    image = make_image([LARGE])
    await setup.artifact(image)
    blob = image.layers[0]
    setup.upstream.faults.add("blobs", cut_after=LARGE // 2, times=1)
    setup.upstream.faults.add("blobs", status=404)
    answer = await setup.get(f"blobs/{blob.digest}")
    assert (answer.status, answer.broken) == (200, True)
    assert 0 < len(answer.body) < blob.size


async def test_refused_access_is_renewed_once(setup: Setup) -> None:
    """The control plane is told that the old one is no good; the client notices nothing."""
    image = make_image([b"one", b"two"])
    artifact = await setup.artifact(image)
    artifact.authorization = "Bearer old"
    first, second, *_ = image.layers
    assert (await setup.get(f"blobs/{first.digest}")).status == 200
    setup.upstream.faults.add("blobs", status=401, times=1)
    artifact.authorization = "Bearer new"
    assert (await setup.get(f"blobs/{second.digest}")).body == content_of(second)
    sent = [seen.headers.get("Authorization") for seen in setup.upstream.requests]
    assert sent == ["Bearer old", "Bearer old", "Bearer new"]
    assert (setup.plane.calls["GetUpstreamAccess"], setup.plane.calls["refused"]) == (2, 1)


@pytest.mark.parametrize(("lasts", "calls"), [(3600, 1), (5, 2)])
async def test_access_is_kept_while_it_lasts(setup: Setup, lasts: float, calls: int) -> None:
    """One that is about to end is not begun with."""
    image = make_image([b"one", b"two"])
    artifact = await setup.artifact(image)
    artifact.expire_time = time.time() + lasts
    for blob in image.layers:
        assert (await setup.get(f"blobs/{blob.digest}")).status == 200
    assert setup.plane.calls["GetUpstreamAccess"] == calls


async def test_redirected_blobs_are_fetched_without_the_authorization(setup: Setup) -> None:
    """As registries do that keep their blobs in a bucket."""
    image = make_image()
    artifact = await setup.artifact(image)
    artifact.authorization = "Bearer secret"
    blob = image.layers[0]
    async with type(setup.upstream)() as bucket:
        bucket.add(image, "up/acme/app")
        setup.upstream.faults.add("blobs", redirect=bucket.base_url)
        assert (await setup.get(f"blobs/{blob.digest}")).body == content_of(blob)
        assert [seen.headers.get("Authorization") for seen in bucket.requests] == [None]


@pytest.mark.parametrize(
    ("fault", "status", "code", "retry_after"),
    [
        (Fault(grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", retry_after=9), 503, "UNAVAILABLE", "9"),
        (Fault(grpc.StatusCode.FAILED_PRECONDITION, "UPSTREAM_DENIED"), 502, "UPSTREAM_DENIED", None),
        (Fault(grpc.StatusCode.FAILED_PRECONDITION, "UPSTREAM_INVALID"), 502, "UPSTREAM_INVALID", None),
        (
            Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED", retry_after=33),
            429,
            "TOOMANYREQUESTS",
            "33",
        ),
        (Fault(grpc.StatusCode.NOT_FOUND, "MANIFEST_UNKNOWN"), 404, "MANIFEST_UNKNOWN", None),
        (Fault(grpc.StatusCode.NOT_FOUND, "ARTIFACT_UNKNOWN"), 404, "NAME_UNKNOWN", None),
        (Fault(grpc.StatusCode.INTERNAL), 503, "UNAVAILABLE", "5"),
    ],
)
async def test_what_the_control_plane_says_of_the_upstream(
    setup: Setup, fault: Fault, status: int, code: str, retry_after: str | None
) -> None:
    """For manifests, in the same terms as for blobs."""
    await setup.artifact(make_image())
    setup.plane.faults["ResolveReference"] = fault
    answer = await setup.get("manifests/1.0")
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers.get("Retry-After") == retry_after


async def test_thirty_two_clients_make_one_upstream_request(setup: Setup) -> None:
    """All get every byte, and the first of them before the upstream has sent a tenth."""
    image = make_image([40_000_000])
    await setup.artifact(image)
    blob = image.layers[0]
    gate = asyncio.Event()
    setup.upstream.faults.add("blobs", pause_after=4_000_000, gate=gate)
    begun = []

    async def pull() -> str:
        url = f"http://{setup.node.registry_address}/v2/acme/app/blobs/{blob.digest}"
        hasher = blob.digest.hasher()
        async with setup.client.get(url, headers={"Authorization": f"Bearer {setup.token}"}) as response:
            hasher.update(await response.content.read(1))
            begun.append(response.status)
            async for chunk in response.content.iter_any():
                hasher.update(chunk)
        return hasher.hexdigest()

    pulls = [asyncio.create_task(pull()) for _ in range(32)]
    # The upstream stands still at a tenth: whoever has a byte now has it before.
    await until(lambda: len(begun) == len(pulls))
    gate.set()
    assert set(await asyncio.gather(*pulls)) == {blob.digest.encoded}
    assert setup.upstream.count("GET", "blobs") == 1
    assert await setup.metric("penstock_node_upstream_bytes_total") == blob.size
    assert await setup.metric("penstock_node_blob_opens_total", result="follow") == 31


async def test_a_fetch_outlives_its_client(setup: Setup) -> None:
    """What the first client began is there for the next one, and the node holds nothing of the first."""
    image = make_image([LARGE])
    await setup.artifact(image)
    blob = image.layers[0]
    gate = asyncio.Event()
    setup.upstream.faults.add("blobs", pause_after=LARGE // 2, gate=gate)
    first = asyncio.create_task(setup.get(f"blobs/{blob.digest}"))
    await until(lambda: setup.upstream.bytes_sent >= LARGE // 2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    gate.set()
    assert (await setup.get(f"blobs/{blob.digest}")).body == content_of(blob)
    assert setup.upstream.count("GET", "blobs") == 1


async def test_clients_that_leave_leave_nothing_behind(setup: Setup) -> None:
    """A hundred that hang up in mid-transfer, cold and warm."""
    image = make_image([LARGE])
    await setup.artifact(image)
    blob = image.layers[0]
    host, port = setup.node.registry_address.split(":")

    async def leave(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"GET /v2/acme/app/blobs/{blob.digest} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {setup.token}\r\n\r\n".encode()
        )
        await reader.read(1 + number * 10_000)
        writer.transport.abort()

    await asyncio.gather(*(leave(number) for number in range(100)))
    in_flight = 1.0
    async with asyncio.timeout(20):
        while in_flight:
            in_flight = await setup.metric("penstock_node_requests_in_flight")
    assert (await setup.get(f"blobs/{blob.digest}")).body == content_of(blob)
