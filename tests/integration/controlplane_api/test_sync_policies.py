"""Sync policies, labels and the history of tags, as callers of the API notice them."""

import itertools
from collections.abc import AsyncIterator

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from penstock.v1 import artifact_pb2 as pb
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.servers.control_plane import Plane, refused

ACME = "organizations/acme"
APP = f"{ACME}/artifacts/app"


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    """Run an upstream with `team/app`."""
    async with FakeRegistry() as registry:
        registry.add(make_image(seed=1), "team/app", ["1.0"])
        yield registry


async def _create(plane: Plane, registry: FakeRegistry, **fields: object) -> pb.Artifact:
    await plane.organization("acme")
    artifact = pb.Artifact(upstream=f"{registry.host}/team/app", plain_http=True, **fields)
    created = await plane.root.artifacts.CreateArtifact(
        pb.CreateArtifactRequest(parent=ACME, artifact_id="app", artifact=artifact)
    )
    await _ended(plane, created.current_sync_job)
    return created


async def _ended(plane: Plane, job: str) -> None:
    if job:
        async for _ in plane.root.artifacts.WatchSyncJob(pb.WatchSyncJobRequest(name=job)):
            pass


async def _update(plane: Plane, *paths: str, **fields: object) -> pb.Artifact:
    return await plane.root.artifacts.UpdateArtifact(
        pb.UpdateArtifactRequest(artifact=pb.Artifact(name=APP, **fields), update_mask=FieldMask(paths=paths))
    )


async def test_a_policy_is_kept_as_it_was_given(plane: Plane, registry: FakeRegistry) -> None:
    """Every field of it, and labels, from creation on."""
    policy = pb.SyncPolicy(
        schedule="@hourly",
        paused=True,
        include_tags=["1.*", "v[0-9]*"],
        exclude_tags=["*-rc?"],
        version_range=">=1 <3",
        newest=5,
        platforms=["linux/amd64", "linux/arm64/v8"],
        deleted_tags=pb.SyncPolicy.KEEP,
        max_tag_age=Duration(seconds=300),
        revalidate_before_answer=True,
    )
    labels = {"team": "shop", "example.com/tier": "1"}
    await _create(plane, registry, sync_policy=policy, labels=labels)

    got = await plane.root.artifacts.GetArtifact(pb.GetArtifactRequest(name=APP))

    assert got.sync_policy == policy
    assert got.labels == labels


async def test_parts_of_a_policy_are_changed_by_their_paths(plane: Plane, registry: FakeRegistry) -> None:
    """The others stay; the whole is replaced by its own name."""
    await _create(plane, registry, sync_policy=pb.SyncPolicy(newest=5, include_tags=["1.*"]))
    before = await plane.root.artifacts.GetArtifact(pb.GetArtifactRequest(name=APP))

    changed = await _update(plane, "sync_policy.paused", sync_policy=pb.SyncPolicy(paused=True, newest=9))
    assert (changed.sync_policy.paused, changed.sync_policy.newest) == (True, 5)
    assert list(changed.sync_policy.include_tags) == ["1.*"]
    assert changed.etag != before.etag

    changed = await _update(plane, "sync_policy.include_tags", sync_policy=pb.SyncPolicy())
    assert (list(changed.sync_policy.include_tags), changed.sync_policy.newest) == ([], 5)

    changed = await _update(plane, "sync_policy", sync_policy=pb.SyncPolicy(newest=1))
    assert changed.sync_policy == pb.SyncPolicy(newest=1, deleted_tags=pb.SyncPolicy.PRUNE)
    same = await _update(plane, "sync_policy", sync_policy=pb.SyncPolicy(newest=1))
    assert (same.etag, same.update_time) == (changed.etag, changed.update_time)

    assert (await _update(plane, "labels", labels={"team": "web"})).labels == {"team": "web"}


async def test_all_that_is_wrong_with_a_policy_is_said_at_once(plane: Plane, registry: FakeRegistry) -> None:
    """Each entry by its path; nothing is saved."""
    await plane.organization("acme")
    artifact = pb.Artifact(
        upstream=f"{registry.host}/team/app",
        plain_http=True,
        labels={"-bad-": "x", "team": "a b"},
        sync_policy=pb.SyncPolicy(
            schedule="61 * * * *",
            include_tags=["1.*", "a b"],
            exclude_tags=["[z-a]"],
            version_range="one",
            newest=-1,
            platforms=["linux", "linux/amd64"],
            deleted_tags=9,
            max_tag_age=Duration(seconds=-3),
        ),
    )
    error = await refused(
        plane.root.artifacts.CreateArtifact(
            pb.CreateArtifactRequest(parent=ACME, artifact_id="app", artifact=artifact)
        )
    )

    wrong = [violation.field for violation in error.violations]
    assert wrong.count("artifact.labels") == 2
    assert {field.removeprefix("artifact.sync_policy.") for field in wrong} == {
        "artifact.labels",
        "schedule",
        "include_tags[1]",
        "exclude_tags[0]",
        "version_range",
        "newest",
        "platforms[0]",
        "deleted_tags",
        "max_tag_age",
    }


async def test_parts_that_contradict_each_other_are_refused(plane: Plane, registry: FakeRegistry) -> None:
    """Also where one of them was there before."""
    await _create(plane, registry, sync_policy=pb.SyncPolicy(sync_only=True))

    error = await refused(
        _update(plane, "sync_policy.max_tag_age", sync_policy=pb.SyncPolicy(max_tag_age=Duration(seconds=60)))
    )
    assert [violation.field for violation in error.violations] == ["artifact.sync_policy.max_tag_age"]
    error = await refused(
        _update(
            plane,
            "sync_policy.revalidate_before_answer",
            sync_policy=pb.SyncPolicy(revalidate_before_answer=True),
        )
    )
    assert "max_tag_age" in str(error)


async def test_a_path_within_a_policy_that_does_not_exist_is_refused(
    plane: Plane, registry: FakeRegistry
) -> None:
    """Rather than being without effect."""
    await _create(plane, registry)
    error = await refused(_update(plane, "sync_policy.pause", sync_policy=pb.SyncPolicy(paused=True)))
    assert [violation.field for violation in error.violations] == ["update_mask"]


async def test_the_history_of_a_tag_is_told_newest_first(plane: Plane, registry: FakeRegistry) -> None:
    """Without gaps from one digest to the next, page by page; a tag that never was is not found."""
    images = [make_image(seed=number) for number in range(1, 4)]
    await _create(plane, registry)
    for image in images[1:]:
        registry.add(image, "team/app", ["1.0"])
        job = await plane.root.artifacts.SyncArtifact(pb.SyncArtifactRequest(name=APP))
        await _ended(plane, job.name)

    revisions: list[pb.TagRevision] = []
    token = ""
    while True:
        page = await plane.root.artifacts.ListTagRevisions(
            pb.ListTagRevisionsRequest(parent=f"{APP}/tags/1.0", page_size=1, page_token=token)
        )
        assert len(page.tag_revisions) == 1
        revisions += page.tag_revisions
        token = page.next_page_token
        if not token:
            break

    assert [revision.digest for revision in revisions] == [str(image.digest) for image in reversed(images)]
    assert not revisions[0].HasField("end_time")
    for newer, older in itertools.pairwise(revisions):
        assert older.end_time == newer.start_time
    error = await refused(
        plane.root.artifacts.ListTagRevisions(pb.ListTagRevisionsRequest(parent=f"{APP}/tags/nope"))
    )
    assert error.reason == "TAG_UNKNOWN"
