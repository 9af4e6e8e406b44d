"""What nodes are told for somebody who may have only some tags, and what they report of uses."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlmodel import col, select

from clients.oci.digest import Digest
from clients.oci.tag_rule import TagRule
from controlplane.api import uses as uses_module
from controlplane.api.uses import Refusals, Use, Uses
from controlplane.catalog import reach, tagging
from controlplane.catalog.referring import Referring
from controlplane.catalog.resolve import Resolver
from controlplane.catalog.unknown import Unknown
from controlplane.model.access_tables import RefusedSignIn
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.tables import AccessToken
from controlplane.upstream.access import UpstreamAccess
from tests.fakes.images import Image, make_artifact, make_image, make_index
from tests.fakes.registry import FakeRegistry
from tests.fakes.rows import NOW, add_artifact, add_organization, add_token

SEVEN, EIGHT = TagRule.of(patterns=["7.*"]), TagRule.of(patterns=["8.*"])


@pytest.fixture
async def resolver(database: Database, access: UpstreamAccess) -> AsyncIterator[Resolver]:
    """The resolver."""
    made = Resolver(database, access)
    yield made
    await made.stop()


@pytest.fixture
async def artifact(database: Database, fake: FakeRegistry) -> Artifact:
    """An artifact of the fake upstream's repository team/app."""
    return await add_artifact(database, f"{fake.host}/team/app")


def _index(seed: int = 0) -> Image:
    return make_index([make_image(seed=seed)])


async def _reached(database: Database, artifact: Artifact, digest: object, *rules: TagRule) -> str | None:
    async with database.read() as session:
        return await reach.tag_of(session, saved_id(artifact), str(digest), rules)


async def _set(database: Database, artifact: Artifact, tag: str, digest: Digest) -> None:
    async with database.write() as session:
        await tagging.set_tags(database, session, saved_id(artifact), {tag: str(digest)}, NOW)


async def test_a_tag_reaches_children_blobs_and_referrers(
    database: Database, resolver: Resolver, artifact: Artifact, fake: FakeRegistry
) -> None:
    """Through the index, and from a referrer's own blobs to its subject; for the rules of the tag alone."""
    index = _index()
    signature = make_artifact(subject=index)
    fake.add(index, "team/app", ["7.1"])
    fake.add(signature, "team/app")
    await resolver.manifest(artifact.uid, "7.1")
    (child,) = index.children
    for digest in (child.digest, signature.digest):
        await resolver.manifest(artifact.uid, digest)
    for digest in (index.digest, child.digest, signature.digest, *child.blobs, *signature.blobs):
        assert await _reached(database, artifact, digest, EIGHT, SEVEN) == "7.1"
        assert await _reached(database, artifact, digest, EIGHT) is None


async def test_what_no_tag_of_the_scope_reaches_is_not_asked_for(
    resolver: Resolver, artifact: Artifact, fake: FakeRegistry
) -> None:
    """A child that is not held yet is fetched for who may have the index, and for nobody else."""
    index = _index()
    fake.add(index, "team/app", ["7.1"])
    await resolver.manifest(artifact.uid, "7.1")
    child = index.children[0].digest
    asked = len(fake.requests)
    with pytest.raises(Unknown) as refused:
        await resolver.manifest(artifact.uid, child, scope=[EIGHT])
    with pytest.raises(Unknown) as unknown:
        await resolver.manifest(artifact.uid, Digest.parse("sha256:" + "0" * 64), scope=[EIGHT])
    assert refused.value.reason == unknown.value.reason
    assert len(fake.requests) == asked
    found = await resolver.manifest(artifact.uid, child, scope=[SEVEN])
    assert (found.digest, found.reached_by) == (str(child), "7.1")
    assert len(fake.requests) > asked


async def test_a_moved_tag_reaches_nothing_of_what_it_was(
    database: Database, resolver: Resolver, artifact: Artifact, fake: FakeRegistry
) -> None:
    """Held as it still is; a member may have it, and a customer may not."""
    old, new = _index(1), _index(2)
    fake.add(old, "team/app", ["7.1"])
    fake.add(new, "team/app", ["7.2"])
    await resolver.manifest(artifact.uid, "7.1")
    await resolver.manifest(artifact.uid, "7.2")
    child = old.children[0].digest
    await resolver.manifest(artifact.uid, child)
    await _set(database, artifact, "7.1", new.digest)
    for digest in (old.digest, child):
        assert await _reached(database, artifact, digest, SEVEN) is None
    assert (await resolver.manifest(artifact.uid, old.digest)).reached_by == ""
    with pytest.raises(Unknown):
        await resolver.manifest(artifact.uid, old.digest, scope=[SEVEN])


async def test_a_subject_out_of_reach_has_no_referrers(
    database: Database, access: UpstreamAccess, resolver: Resolver, artifact: Artifact, fake: FakeRegistry
) -> None:
    """Nobody learns from signatures that there is an image."""
    image = make_image()
    fake.add(image, "team/app", ["7.1"])
    fake.add(make_artifact(subject=image), "team/app")
    await resolver.manifest(artifact.uid, "7.1")
    referring = Referring(database, access, now=lambda: NOW)
    found, _ = await referring.of(artifact.uid, image.digest, [SEVEN])
    assert len(found) == 1
    none, _ = await referring.of(artifact.uid, image.digest, [EIGHT])
    assert none == []
    await referring.stop()


async def test_the_last_use_of_a_token_is_kept(database: Database) -> None:
    """The latest of those that are reported, in whatever order they come."""
    acme = await add_organization(database, "acme")
    _, token = await add_token(database, acme)
    uses = Uses(database, CollectorRegistry(), lambda: NOW)
    first, second = NOW - timedelta(seconds=2), NOW - timedelta(seconds=1)
    await uses.save([Use(token.uid, second, "10.0.0.2"), Use(token.uid, first, "10.0.0.1")], [])
    await uses.save([Use(token.uid, first, "10.0.0.1")], [])
    async with database.read() as session:
        row = (await session.exec(select(AccessToken).where(col(AccessToken.uid) == token.uid))).one()
    assert (row.last_use_time, row.last_use_address) == (second, "10.0.0.2")


async def test_a_node_whose_clock_is_ahead_hides_no_later_use(database: Database) -> None:
    """What it says of tomorrow was now: tomorrow's uses are newer, and refusals are kept no longer."""
    acme = await add_organization(database, "acme")
    _, token = await add_token(database, acme)
    clock = NOW
    uses = Uses(database, CollectorRegistry(), lambda: clock)
    ahead = NOW + timedelta(days=365)
    await uses.save([Use(token.uid, ahead, "10.0.0.1")], [Refusals("10.0.0.1", "", 1, ahead)])
    clock += timedelta(hours=1)
    await uses.save([Use(token.uid, clock, "10.0.0.2")], [])
    async with database.read() as session:
        row = (await session.exec(select(AccessToken).where(col(AccessToken.uid) == token.uid))).one()
        refused = (await session.exec(select(RefusedSignIn))).one()
    assert (row.last_use_time, row.last_use_address) == (clock, "10.0.0.2")
    assert refused.last_time == NOW


async def test_refused_sign_ins_are_counted_by_address_and_token(database: Database) -> None:
    """Over many reports, and told by a metric."""
    registry = CollectorRegistry()
    uses = Uses(database, registry, lambda: NOW)
    await uses.save([], [Refusals("10.0.0.1", "", 3, NOW), Refusals("10.0.0.1", "ended", 1, NOW)])
    uses.refused("10.0.0.1", "")
    uses.refused("10.0.0.1", "")
    await uses.stop()
    async with database.read() as session:
        rows = await session.exec(select(RefusedSignIn).order_by(col(RefusedSignIn.token_uid)))
        assert [(row.token_uid, row.count) for row in rows] == [("", 5), ("ended", 1)]
    assert registry.get_sample_value("penstock_refused_sign_ins_total", {"token": "unknown"}) == 5


async def test_refused_sign_ins_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes from ever more addresses fills no database: the latest stay, the month before goes."""
    monkeypatch.setattr(uses_module, "_MOST_KEPT", 3)
    uses = Uses(database, CollectorRegistry(), lambda: NOW)
    old = Refusals("10.0.0.9", "", 1, NOW - timedelta(days=31))
    await uses.save([], [old, Refusals("10.0.0.8", "", 1, NOW - timedelta(days=29))])
    async with database.read() as session:
        assert (await session.exec(select(RefusedSignIn.address))).all() == ["10.0.0.8"]
    await uses.save([], [Refusals(f"10.0.1.{n}", "", 1, NOW - timedelta(seconds=n)) for n in range(5)])
    async with database.read() as session:
        rows = await session.exec(select(RefusedSignIn.address).order_by(col(RefusedSignIn.address)))
        assert rows.all() == ["10.0.1.0", "10.0.1.1", "10.0.1.2"]
