"""What an artifact's policy makes of pulls: nothing is asked, or old tags are asked for again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, update

from controlplane.catalog.policy import SyncPolicy
from controlplane.catalog.resolve import Resolver
from controlplane.catalog.unknown import Unknown
from controlplane.model.artifact_tables import Artifact, Tag
from controlplane.model.database import Database
from controlplane.upstream.access import UpstreamAccess
from tests.fakes.images import make_image, make_index
from tests.fakes.registry import FakeRegistry
from tests.fakes.rows import BOTH_DATABASES, add_artifact, read_tags
from tests.fakes.waiting import until

pytestmark = BOTH_DATABASES

_MINUTE = timedelta(minutes=1)


class _Clock:
    """The time of day, and seconds that never go back, which the test moves together."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def seconds(self) -> float:
        return self.passed.total_seconds()

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC) + self.passed


@pytest.fixture
def clock() -> _Clock:
    """A clock that the test moves."""
    return _Clock()


@pytest.fixture
async def resolver(database: Database, access: UpstreamAccess, clock: _Clock) -> AsyncIterator[Resolver]:
    """What answers references."""
    made = Resolver(database, access, clock=clock.seconds, now=clock.now)
    yield made
    await made.stop()


@pytest.fixture
async def artifact(database: Database, fake: FakeRegistry) -> Artifact:
    """An artifact whose upstream repository is not there yet."""
    return await add_artifact(database, f"{fake.host}/team/app")


async def _follow(database: Database, artifact: Artifact, **policy: Any) -> None:
    async with database.write() as session:
        await session.exec(
            update(Artifact)
            .where(col(Artifact.id) == artifact.id)
            .values(sync_policy=SyncPolicy(**policy).kept())
        )


@pytest.fixture
async def seen(database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact) -> str:
    """The digest of a tag that was just seen, and is asked for before the answer five minutes later."""
    await _follow(database, artifact, max_tag_age=5 * _MINUTE, revalidate_before_answer=True)
    fake.add(make_image(seed=1), "team/app", ["1.0"])
    digest = (await resolver.manifest(artifact.uid, "1.0")).digest
    fake.requests.clear()
    return digest


async def test_sync_only_never_asks_the_upstream(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """Neither for tags nor for digests; what is held is served."""
    index = fake.add(make_index([make_image()]), "team/app", ["1.0"])
    await resolver.manifest(artifact.uid, "1.0")
    await _follow(database, artifact, sync_only=True)
    fake.add(make_image(seed=2), "team/app", ["2.0"])
    fake.requests.clear()

    assert (await resolver.manifest(artifact.uid, "1.0")).digest == str(index.digest)
    for reference in ("2.0", index.children[0].digest):
        with pytest.raises(Unknown):
            await resolver.manifest(artifact.uid, reference)
    assert fake.requests == []


async def test_an_old_tag_is_answered_and_asked_for_behind(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact, clock: _Clock
) -> None:
    """The pull that finds it old is answered at once; one HEAD tells, and later pulls have what it told."""
    old = fake.add(make_image(seed=1), "team/app", ["1.0"])
    await _follow(database, artifact, max_tag_age=5 * _MINUTE)
    await resolver.manifest(artifact.uid, "1.0")
    new = fake.add(make_image(seed=2), "team/app", ["1.0"])
    fake.requests.clear()

    clock.passed += 4 * _MINUTE
    found = await resolver.manifest(artifact.uid, "1.0")
    assert (found.digest, found.max_age) == (str(old.digest), _MINUTE)
    assert fake.requests == []

    clock.passed += 2 * _MINUTE
    fake.faults.add("manifests", delay=0.1)
    for _ in range(3):
        found = await resolver.manifest(artifact.uid, "1.0")
        assert found.digest == str(old.digest)
        assert found.max_age is not None
        assert found.max_age < _MINUTE

    async def moved() -> bool:
        return await read_tags(database, artifact) == {"1.0": str(new.digest)}

    await until(moved)
    assert fake.totals() == {"HEAD manifests": 1, "GET manifests": 1}
    later = await resolver.manifest(artifact.uid, "1.0")
    assert (later.digest, later.max_age) == (str(new.digest), 5 * _MINUTE)
    assert later.content_revision > found.content_revision


async def test_an_old_tag_is_asked_for_before_the_answer_where_that_is_wanted(
    fake: FakeRegistry, resolver: Resolver, artifact: Artifact, clock: _Clock, seen: str
) -> None:
    """A tag that has not moved costs a HEAD, and is young again; one that has is answered as it is."""
    clock.passed += 6 * _MINUTE
    assert (await resolver.manifest(artifact.uid, "1.0")).digest == seen
    clock.passed += 4 * _MINUTE
    assert (await resolver.manifest(artifact.uid, "1.0")).max_age == _MINUTE
    assert fake.totals() == {"HEAD manifests": 1}

    new = fake.add(make_image(seed=2), "team/app", ["1.0"])
    clock.passed += 2 * _MINUTE
    assert (await resolver.manifest(artifact.uid, "1.0")).digest == str(new.digest)


async def test_a_clock_that_was_ahead_keeps_no_tag_fresh(
    fake: FakeRegistry, resolver: Resolver, artifact: Artifact, clock: _Clock, seen: str
) -> None:
    """What was seen at a time that has not come yet is old; seen again, it is as fresh as any other."""
    clock.passed -= 60 * _MINUTE
    found = await resolver.manifest(artifact.uid, "1.0")
    assert (found.digest, found.max_age) == (seen, 5 * _MINUTE)
    assert fake.totals() == {"HEAD manifests": 1}

    new = fake.add(make_image(seed=2), "team/app", ["1.0"])
    clock.passed += 6 * _MINUTE
    assert (await resolver.manifest(artifact.uid, "1.0")).digest == str(new.digest)


@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
async def test_an_upstream_that_cannot_say_leaves_what_is_held(
    database: Database,
    fake: FakeRegistry,
    resolver: Resolver,
    artifact: Artifact,
    clock: _Clock,
    before: bool,
) -> None:
    """Away, or without the tag: it is served, and the upstream is not asked with each pull."""
    await _follow(database, artifact, max_tag_age=_MINUTE, revalidate_before_answer=before)
    fake.add(make_image(seed=1), "team/app", ["1.0"])
    first = await resolver.manifest(artifact.uid, "1.0")
    fake.remove_tag("team/app", "1.0")
    fake.requests.clear()
    clock.passed += 2 * _MINUTE

    assert (await resolver.manifest(artifact.uid, "1.0")).digest == first.digest
    async with asyncio.timeout(30):
        await fake.asked("manifests")
    await fake.stop()
    for _ in range(5):
        assert (await resolver.manifest(artifact.uid, "1.0")).digest == first.digest
    assert len(fake.requests) == 1


async def test_a_sync_makes_what_it_has_seen_young(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact, clock: _Clock
) -> None:
    """But not a tag that it left out, or missed."""
    await _follow(database, artifact, max_tag_age=5 * _MINUTE)
    for number, tag in enumerate(("seen", "out", "missing")):
        fake.add(make_image(seed=number), "team/app", [tag])
        await resolver.manifest(artifact.uid, tag)
    clock.passed += 6 * _MINUTE
    async with database.write() as session:
        row = update(Artifact).where(col(Artifact.id) == artifact.id)
        await session.exec(row.values(tags_seen_time=clock.now()))
        await session.exec(update(Tag).where(col(Tag.name) == "out").values(left_out=True))
        await session.exec(update(Tag).where(col(Tag.name) == "missing").values(missing_runs=1))
    fake.requests.clear()

    await resolver.manifest(artifact.uid, "seen")
    assert fake.requests == []
    for tag in ("out", "missing"):
        await resolver.manifest(artifact.uid, tag)
    async with asyncio.timeout(30):
        await fake.asked("manifests", 2)
