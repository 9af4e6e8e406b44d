"""Cache policies, as callers of the API and nodes notice them."""

from collections.abc import AsyncIterator

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from penstock.v1 import artifact_pb2 as pb
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.servers.control_plane import Plane, refused

ACME = "organizations/acme"
APP = f"{ACME}/artifacts/app"
POLICY = pb.CachePolicy(pin_tags=["1.*"], prefetch_tags=["1.*", "latest"], prefetch_platforms=["linux/amd64"])


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    """Run an upstream with `team/app`."""
    async with FakeRegistry() as registry:
        registry.add(make_image(seed=1), "team/app", ["1.0"])
        yield registry


async def create(plane: Plane, registry: FakeRegistry, policy: pb.CachePolicy) -> pb.Artifact:
    """Create an artifact with a policy."""
    artifact = pb.Artifact(upstream=f"{registry.host}/team/app", plain_http=True, cache_policy=policy)
    return await plane.root.artifacts.CreateArtifact(
        pb.CreateArtifactRequest(parent=ACME, artifact_id="app", artifact=artifact)
    )


async def update(plane: Plane, *paths: str, **fields: object) -> pb.Artifact:
    """Change parts of it."""
    return await plane.root.artifacts.UpdateArtifact(
        pb.UpdateArtifactRequest(artifact=pb.Artifact(name=APP, **fields), update_mask=FieldMask(paths=paths))
    )


async def test_a_policy_is_kept_and_changed_by_its_parts(plane: Plane, registry: FakeRegistry) -> None:
    """What is not named stays; saving the same again changes nothing."""
    await plane.organization("acme")
    assert (await create(plane, registry, POLICY)).cache_policy == POLICY
    before = await plane.root.artifacts.GetArtifact(pb.GetArtifactRequest(name=APP))
    assert before.cache_policy == POLICY

    changed = await update(plane, "cache_policy.pin_tags", cache_policy=pb.CachePolicy(pin_tags=["*"]))
    assert list(changed.cache_policy.pin_tags) == ["*"]
    assert changed.cache_policy.prefetch_tags == POLICY.prefetch_tags
    assert changed.etag != before.etag

    emptied = await update(plane, "cache_policy", cache_policy=pb.CachePolicy())
    assert emptied.cache_policy == pb.CachePolicy()
    same = await update(plane, "cache_policy", cache_policy=pb.CachePolicy())
    assert (same.etag, same.update_time) == (emptied.etag, emptied.update_time)


async def test_what_is_wrong_is_said_by_its_path(plane: Plane, registry: FakeRegistry) -> None:
    """All of it at once."""
    await plane.organization("acme")
    wrong = pb.CachePolicy(pin_tags=["a b"], prefetch_tags=["x"] * 101, prefetch_platforms=["linux"])
    error = await refused(create(plane, registry, wrong))
    fields = {violation.field for violation in error.violations}
    assert fields == {
        "artifact.cache_policy.pin_tags[0]",
        "artifact.cache_policy.prefetch_tags",
        "artifact.cache_policy.prefetch_platforms[0]",
    }
