"""What a worker gets ready for the client of a manifest, and what its other connections then cost."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from clients.control.client import ControlClient
from clients.oci.digest import Digest
from clients.oci.tag_rule import TagRule
from dataplane.access.rules import Rules
from dataplane.resolve.ahead import Ahead
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.errors import Missing, Unknown
from dataplane.resolve.reach import Reach
from dataplane.resolve.upstream import Grants
from tests.fakes.aborts import Fault
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.estate import FakeArtifact
from tests.fakes.images import Image
from tests.unit.dataplane.resolve.resolving import Resolving, entry


class Worker:
    """One of two workers of a node: what it resolves with, has stored, and is told by the other one."""

    def __init__(self, client: ControlClient, root: Path) -> None:
        self.resolving = Resolving(client, root)
        self.grants = Grants(ControlPlane(client.nodes, 0))
        self.stored: set[Digest] = set()
        self.told: list[tuple[str, Digest]] = []
        self.ahead = Ahead(
            self.grants,
            lambda digest, _: digest in self.stored,
            lambda uid, digest: self.told.append((uid, digest)),
        )
        self.resolving.manifests.resolved = [self.ahead.resolved]

    async def stop(self) -> None:
        """Stop its parts."""
        await self.ahead.stop()
        await self.grants.stop()
        await self.resolving.stop()


@pytest.fixture
async def worker(client: ControlClient, tmp_path: Path) -> AsyncIterator[Worker]:
    """The worker that the first connection leads to."""
    worker = Worker(client, tmp_path)
    yield worker
    await worker.stop()


@pytest.fixture
async def other(
    worker: Worker, client: ControlClient, tmp_path: Path, held: FakeArtifact
) -> AsyncIterator[Resolving]:
    """What another worker resolves with, that was told of the manifest which the first has resolved."""
    await worker.resolving.manifests.get(entry(held), "1.0")
    await worker.resolving.manifests.stop()
    other = Resolving(client, tmp_path)
    for told in worker.told:
        other.members.hear(*told)
    yield other
    await other.stop()


async def test_access_is_there_when_the_blobs_are_asked_for(
    worker: Worker, plane: FakeControlPlane, held: FakeArtifact, image: Image
) -> None:
    """One question, and none by who fetches; the others hear of the manifest."""
    await worker.resolving.manifests.get(entry(held), "1.0")
    for _ in range(3):
        await worker.grants.get(entry(held))
    assert plane.calls["GetUpstreamAccess"] == 1
    assert worker.told == [(held.uid, image.digest)]


async def test_nothing_is_got_ready_for_what_is_here(
    worker: Worker, plane: FakeControlPlane, held: FakeArtifact, image: Image
) -> None:
    """A tag that is looked up again and again costs no access, nor messages."""
    worker.stored = set(image.blobs)
    await worker.resolving.manifests.get(entry(held), "1.0")
    await worker.ahead.stop()
    assert plane.calls["GetUpstreamAccess"] == 0
    assert worker.told == []


async def test_an_upstream_that_gives_no_access_disturbs_no_manifest(
    worker: Worker, plane: FakeControlPlane, held: FakeArtifact, image: Image
) -> None:
    """Who asks for a blob is told; who reads the manifest is not."""
    plane.faults["GetUpstreamAccess"] = Fault(grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
    manifest = await worker.resolving.manifests.get(entry(held), "1.0")
    assert manifest.digest == image.digest


async def test_another_worker_need_not_ask_for_what_one_has_resolved(
    other: Resolving, plane: FakeControlPlane, held: FakeArtifact, image: Image
) -> None:
    """It reads the manifest that it was told of, once; what is not in it is asked for as before."""
    for digest, blob in image.blobs.items():
        assert await other.members.size(entry(held), digest) == blob.size
    assert plane.calls["ResolveBlob"] == 0
    with pytest.raises(Unknown):
        await other.members.size(entry(held), Digest.of(b"foreign"))
    assert plane.calls["ResolveBlob"] == 1


@pytest.mark.parametrize(("pattern", "asked"), [("1.*", 0), ("2.*", 1)])
async def test_another_worker_decides_by_the_tags_of_what_one_has_resolved(
    other: Resolving,
    client: ControlClient,
    plane: FakeControlPlane,
    held: FakeArtifact,
    image: Image,
    pattern: str,
    asked: int,
) -> None:
    """Who is entitled to its tag gets the blob without a question; nobody else gets it."""
    control = ControlPlane(client.nodes, 0)
    reach = Reach(control, other.manifests, other.members, other.witnesses, 1 << 16, floor=0.001)
    rules = Rules.of([TagRule.of(patterns=[pattern])])
    refused = False
    try:
        await reach.require(entry(held), image.layers[0].digest, rules, Missing.BLOB)
    except Unknown:
        refused = True
    assert (refused, plane.calls["ResolveBlob"]) == (bool(asked), asked)
    await reach.stop()
