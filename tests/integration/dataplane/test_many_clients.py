"""What a client costs that is connected and does next to nothing: a node may have many thousands of them."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bench.load import crowd
from tests.bench.load.address import Address
from tests.bench.machine import anonymous_memory
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane.test_process import offer
from tests.integration.dataplane.test_workers import node_of

pytestmark = pytest.mark.slow

KIB = 1 << 10
BLOB = GeneratedBlob(1, 64 << 20)


@pytest.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    """A control plane."""
    async with FakeControlPlane() as plane:
        yield plane


@pytest.mark.parametrize(
    ("count", "each", "is_slow"), [(500, 15 * KIB, True), (5000, 6 * KIB, False)], ids=["slow", "idle"]
)
async def test_what_each_client_costs(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path, count: int, each: int, *, is_slow: bool
) -> None:
    """500 that read a KiB a second of a large blob, 5,000 between two requests: the workers' own memory."""
    image = make_image([BLOB])
    token = offer(plane, fake, image)
    async with node_of(plane, tmp_path / "data", 2) as node:
        path = f"/v2/acme/app/blobs/{BLOB.digest}"
        assert await node.process.get(path, token) == content_of(BLOB)
        manifest = f"/v2/acme/app/manifests/{image.digest}"
        for _ in range(200):
            await node.process.get(manifest, token)
        address = Address.parse(node.process.registry)
        wanted = path if is_slow else manifest
        request = f"GET {wanted} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()

        def grown() -> int:
            before = anonymous_memory(node.workers())
            with crowd.slow(address, request, count, 2.0) if is_slow else crowd.idle(address, request, count):
                time.sleep(0.5)
                return anonymous_memory(node.workers()) - before

        assert await asyncio.to_thread(grown) <= each * count
