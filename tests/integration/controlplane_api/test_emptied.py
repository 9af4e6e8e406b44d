"""An artifact that was emptied to go or to move, and did neither, is filled again."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from clients.control.errors import ControlError
from controlplane.api import organizations
from controlplane.catalog import clearing, tagging
from controlplane.model.database import DatabaseUnavailable
from penstock.v1 import artifact_pb2 as pb
from penstock.v1 import organization_pb2
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.fakes.waiting import until
from tests.servers.control_plane import Plane, refused

APP = "organizations/acme/artifacts/app"


async def _held(plane: Plane) -> set[str]:
    tags = (await plane.root.artifacts.ListTags(pb.ListTagsRequest(parent=APP))).tags
    return {tag.name.rpartition("/")[2] for tag in tags}


async def _is_whole(plane: Plane) -> bool:
    """Tell whether all is there again, also for who looks later."""
    shown = await plane.root.artifacts.GetArtifact(pb.GetArtifactRequest(name=APP))
    return await _held(plane) == {"1.0", "2.0"} and not shown.current_sync_job


async def _artifact(plane: Plane, registry: FakeRegistry, *, exists: bool = False) -> pb.Artifact:
    registry.add(make_image(seed=1), "team/app", ["1.0"])
    registry.add(make_image(seed=2), "team/app", ["2.0"])
    registry.add(make_image(seed=3), "team/other", ["3.0"])
    if not exists:
        await plane.organization("acme")
    created = await plane.artifact("acme", "app", f"{registry.host}/team/app")
    await until(lambda: _is_whole(plane))
    return created


def _rename_after(monkeypatch: pytest.MonkeyPatch, name: str, plane: Plane) -> None:
    """Has somebody else change the artifact as soon as it is empty."""
    empty: Callable[..., Awaitable[None]] = getattr(clearing, name)

    async def emptying(*arguments: Any) -> None:
        await empty(*arguments)
        assert await _held(plane) == set()
        renamed = pb.Artifact(name=APP, display_name="Other")
        await plane.root.artifacts.UpdateArtifact(pb.UpdateArtifactRequest(artifact=renamed))

    monkeypatch.setattr(clearing, name, emptying)


def _move(registry: FakeRegistry, etag: str) -> pb.UpdateArtifactRequest:
    moved = pb.Artifact(name=APP, upstream=f"{registry.host}/team/other", plain_http=True, etag=etag)
    return pb.UpdateArtifactRequest(artifact=moved)


async def _is_refused_and_made_up_for(plane: Plane, call: Awaitable[object]) -> None:
    error: ControlError = await refused(call)
    assert (error.code.name, error.reason) == ("ABORTED", "ETAG_MISMATCH")
    assert "was dropped by then: a sync that brings it back" in str(error)
    await until(lambda: _is_whole(plane))


async def test_a_change_of_upstream_that_somebody_else_was_quicker_than(
    plane: Plane, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal says that the artifact was emptied, and a sync of the old upstream follows by itself."""
    created = await _artifact(plane, fake)
    _rename_after(monkeypatch, "clear", plane)
    await _is_refused_and_made_up_for(plane, plane.root.artifacts.UpdateArtifact(_move(fake, created.etag)))


async def test_a_deletion_that_somebody_else_was_quicker_than(
    plane: Plane, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise."""
    created = await _artifact(plane, fake)
    _rename_after(monkeypatch, "clear_all", plane)
    request = pb.DeleteArtifactRequest(name=APP, etag=created.etag)
    await _is_refused_and_made_up_for(plane, plane.root.artifacts.DeleteArtifact(request))


@pytest.mark.parametrize("whole", [False, True], ids=["artifact", "organization"])
async def test_what_was_made_anew_under_the_same_name_stays(
    plane: Plane, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """Two delete the same at once, and when the first is done, somebody uses its name again."""
    await _artifact(plane, fake)
    empty: Callable[..., Awaitable[None]] = clearing.clear_all

    async def delete() -> None:
        if whole:
            request = organization_pb2.DeleteOrganizationRequest(name="organizations/acme", force=True)
            await plane.root.organizations.DeleteOrganization(request)
        else:
            await plane.root.artifacts.DeleteArtifact(pb.DeleteArtifactRequest(name=APP))

    async def emptying(*arguments: Any) -> None:
        await empty(*arguments)
        monkeypatch.setattr(clearing, "clear_all", empty)
        await delete()
        if whole:
            await plane.organization("acme")
        await plane.artifact("acme", "app", f"{fake.host}/team/app")

    monkeypatch.setattr(clearing, "clear_all", emptying)
    error = await refused(delete())

    assert (error.code.name, error.reason) == ("ABORTED", "CHANGED_MEANWHILE")
    await until(lambda: _is_whole(plane))


async def test_what_comes_meanwhile_goes_by_force_alone(
    plane: Plane, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An organization that is to be deleted if it is empty is not, and loses nothing."""
    await plane.organization("acme")
    look: Callable[..., Awaitable[None]] = organizations._refuse_unless_empty
    request = organization_pb2.DeleteOrganizationRequest(name="organizations/acme")

    async def looking(*arguments: Any) -> None:
        await look(*arguments)
        monkeypatch.setattr(organizations, "_refuse_unless_empty", look)
        await _artifact(plane, fake, exists=True)

    monkeypatch.setattr(organizations, "_refuse_unless_empty", looking)
    error = await refused(plane.root.organizations.DeleteOrganization(request))
    assert error.reason == "ORGANIZATION_NOT_EMPTY"
    assert await _held(plane) == {"1.0", "2.0"}


async def test_a_change_of_upstream_that_the_database_refuses(
    plane: Plane, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as retriable as ever, and the artifact is whole also where nobody tries again."""
    created = await _artifact(plane, fake)

    async def failing(*_: object) -> None:
        raise DatabaseUnavailable("the disk is full")

    monkeypatch.setattr(tagging, "forget", failing)
    error = await refused(plane.root.artifacts.UpdateArtifact(_move(fake, created.etag)))
    assert error.reason == "DATABASE_UNAVAILABLE"
    await until(lambda: _is_whole(plane))


async def test_an_artifact_that_moved_is_not_synced_again_by_itself(plane: Plane, fake: FakeRegistry) -> None:
    """What would have filled it again is off: here there is no schedule."""
    created = await _artifact(plane, fake)
    await plane.root.artifacts.UpdateArtifact(_move(fake, created.etag))
    shown = await plane.root.artifacts.GetArtifact(pb.GetArtifactRequest(name=APP))
    assert not shown.HasField("next_sync_time")


async def test_no_run_begins_over_what_a_long_deletion_has_emptied(
    plane: Plane, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for one, however long it takes; where nothing comes of the deletion, the run follows."""
    await _artifact(plane, fake)
    await plane.artifact("acme", "z", f"{fake.host}/team/other")
    await plane.organization("other")
    seen: list[pb.SyncJob] = []
    empty: Callable[..., Awaitable[None]] = clearing.clear_all

    async def emptying(*arguments: Any) -> None:
        if arguments[1].path != "z":
            return await empty(*arguments)
        asked = await plane.root.artifacts.SyncArtifact(pb.SyncArtifactRequest(name=APP))
        # Who looks for what waits has seen that one by then, and left it.
        await plane.artifact("other", "app", f"{fake.host}/team/other")
        await until(lambda: _is_synced(plane, "organizations/other/artifacts/app"))
        seen.append(await plane.root.artifacts.GetSyncJob(pb.GetSyncJobRequest(name=asked.name)))
        raise DatabaseUnavailable("the disk is full")

    monkeypatch.setattr(clearing, "clear_all", emptying)
    request = organization_pb2.DeleteOrganizationRequest(name="organizations/acme", force=True)
    error = await refused(plane.root.organizations.DeleteOrganization(request))

    assert error.reason == "DATABASE_UNAVAILABLE"
    assert [job.state for job in seen] == [pb.SyncJob.PENDING]
    await until(lambda: _is_whole(plane))


async def _is_synced(plane: Plane, name: str) -> bool:
    shown = await plane.root.artifacts.GetArtifact(pb.GetArtifactRequest(name=name))
    return shown.HasField("last_sync_time")
