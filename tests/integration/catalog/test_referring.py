"""How much of what refers to a manifest is held in memory, and what is kept of an answer that breaks off."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlmodel import select

from controlplane.catalog import tagging
from controlplane.catalog.referring import Referring
from controlplane.catalog.resolve import Resolver
from controlplane.model.artifact_tables import Artifact, Manifest
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.upstream.access import UpstreamAccess
from tests.fakes.images import Image, make_artifact, make_image
from tests.fakes.registry import FakeRegistry
from tests.fakes.rows import BOTH_DATABASES, NOW, add_artifact

pytestmark = BOTH_DATABASES

_LARGE = 3 << 20


@pytest.fixture
async def referring(database: Database, access: UpstreamAccess) -> AsyncIterator[Referring]:
    """What answers which manifests refer to one."""
    made = Referring(database, access, now=lambda: NOW)
    yield made
    await made.stop()


@pytest.fixture
async def artifact(database: Database, fake: FakeRegistry) -> Artifact:
    """An artifact of the fake upstream's repository team/app."""
    return await add_artifact(database, f"{fake.host}/team/app")


async def _signed(
    database: Database, access: UpstreamAccess, artifact: Artifact, fake: FakeRegistry, sizes: list[int]
) -> tuple[Image, list[Image]]:
    """Has an image held, and referrers upstream whose manifests are larger by these sizes."""
    image = fake.add(make_image(), "team/app", ["1.0"])
    await Resolver(database, access).manifest(artifact.uid, "1.0")
    signatures = []
    for number, size in enumerate(sizes):
        small = make_artifact(subject=image, annotations={"number": f"{number}"})
        signatures.append(fake.add(replace(small, manifest=small.manifest + b" " * size), "team/app"))
    return image, signatures


async def test_large_referrers_are_written_before_all_are_here(
    database: Database, access: UpstreamAccess, artifact: Artifact, fake: FakeRegistry, referring: Referring
) -> None:
    """A thousand of 4 MiB must never be in memory at once."""
    image, signatures = await _signed(database, access, artifact, fake, [_LARGE] * 4)
    opened = asyncio.Event()
    fake.faults.add("manifests", reference=str(signatures[-1].digest), pause_after=1, gate=opened)
    fake.requests.clear()
    asking = asyncio.create_task(referring.of(artifact.uid, image.digest))
    await fake.asked("manifests", len(signatures))

    others = Referring(database, access, now=lambda: NOW)
    fake.faults.add("referrers", status=503)
    held, _ = await others.of(artifact.uid, image.digest)
    assert len(held) == 2

    opened.set()
    assert len((await asking)[0]) == len(signatures)


async def test_referrers_that_came_are_kept_when_the_next_does_not(
    database: Database, access: UpstreamAccess, artifact: Artifact, fake: FakeRegistry, referring: Referring
) -> None:
    """An upstream that refuses after so many requests is not asked for the same ones for ever."""
    image, signatures = await _signed(database, access, artifact, fake, [0] * 4)
    fake.faults.add("manifests", reference=str(signatures[2].digest), status=429)

    found, _ = await referring.of(artifact.uid, image.digest)

    assert {referrer.digest for referrer in found} == {str(it.digest) for it in signatures[:2]}


async def test_annotations_are_read_of_so_much_and_no_more(
    database: Database, access: UpstreamAccess, artifact: Artifact, fake: FakeRegistry, referring: Referring
) -> None:
    """All are listed; those whose manifests are too much to read come without annotations."""
    sizes = [_LARGE, 0, _LARGE, _LARGE, _LARGE, 0]
    image, signatures = await _signed(database, access, artifact, fake, sizes)

    found, _ = await referring.of(artifact.uid, image.digest)

    large = {str(it.digest) for it, size in zip(signatures, sizes, strict=True) if size}
    assert {referrer.digest for referrer in found} == {str(it.digest) for it in signatures}
    assert sum(bool(referrer.annotations) for referrer in found if referrer.digest in large) == 2
    assert all(referrer.annotations for referrer in found if referrer.digest not in large)


async def test_referrers_of_a_manifest_that_went_meanwhile_are_not_kept(
    database: Database, access: UpstreamAccess, artifact: Artifact, fake: FakeRegistry, referring: Referring
) -> None:
    """A sync has dropped it while the upstream was asked: nothing would ever find them to drop them."""
    image, signatures = await _signed(database, access, artifact, fake, [0])
    opened = asyncio.Event()
    fake.faults.add("manifests", reference=str(signatures[0].digest), pause_after=1, gate=opened)
    fake.requests.clear()
    asking = asyncio.create_task(referring.of(artifact.uid, image.digest))
    await fake.asked("manifests")
    async with database.write() as session:
        now = datetime.now(UTC)
        await tagging.remove_tags(database, session, saved_id(artifact), ["1.0"], now, listed=now)
    opened.set()

    assert (await asking)[0] == []
    async with database.read() as session:
        assert (await session.exec(select(Manifest.digest))).all() == []
