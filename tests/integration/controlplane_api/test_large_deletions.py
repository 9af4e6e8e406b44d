"""Artifacts that hold much, and others who write while these go or change."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlmodel import func, insert, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.model.artifact_tables import Artifact, Edge, EdgeKind, Manifest, Tag, TagRevision
from controlplane.model.database import Database
from controlplane.model.sync_tables import SyncJob, SyncLease
from penstock.v1 import artifact_pb2 as pb
from penstock.v1 import organization_pb2
from tests.fakes.rows import NOW, open_database
from tests.servers.control_plane import Plane

APP = "organizations/acme/artifacts/app"
_TABLES = (Tag, TagRevision, Manifest, Edge)
# Manifests, each with a tag that has stood for something else before, with two blobs and with a sync that
# the schedule asked for.
_HELD = 2000
# Rows of all tables that one transaction may drop.
_MOST = 1900


async def _rows(session: AsyncSession) -> int:
    counts = [(await session.exec(select(func.count()).select_from(table))).one() for table in _TABLES]
    by_schedule = select(func.count(SyncJob.id)).where(SyncJob.trigger == pb.SyncJob.SCHEDULE)
    return sum(counts) + (await session.exec(by_schedule)).one()


@pytest.fixture
async def dropped(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each transaction dropped, with an artifact that holds many."""
    await plane.organization("acme")
    await plane.artifact("acme", "app")
    digests = [f"sha256:{number:064}" for number in range(_HELD)]
    times = {"start_time": NOW, "end_time": NOW}
    async with open_database(plane.data) as other, other.write() as session:
        key = {"artifact_id": (await session.exec(select(Artifact.id))).one()}
        tags = [key | {"name": f"t{each[-8:]}", "digest": each} for each in digests]
        lasting = {"create_time": NOW, "update_time": NOW, "missing_runs": 0, "left_out": False}
        await session.exec(insert(Tag), params=[tag | lasting for tag in tags])
        await session.exec(insert(TagRevision), params=[tag | times for tag in tags])
        media = {
            "media_type": "application/vnd.oci.image.manifest.v1+json",
            "artifact_type": "",
            "subject": "",
        }
        content = media | {"size": 500, "content": b"{}", "create_time": NOW}
        await session.exec(insert(Manifest), params=[key | content | {"digest": each} for each in digests])
        blob = {"kind": EdgeKind.BLOB, "media_type": "", "size": 1, "platform": ""}
        edges = [key | blob | {"parent": each, "child": f"{each}{part}"} for each in digests for part in "ab"]
        await session.exec(insert(Edge), params=edges)
        job = key | {"state": pb.SyncJob.SUCCEEDED, "trigger": pb.SyncJob.SCHEDULE, "tag_errors": []}
        ended = job | {"create_time": NOW, "end_time": NOW}
        await session.exec(insert(SyncJob), params=[ended | {"uid": f"ended{each[-8:]}"} for each in digests])
    counts: list[int] = []
    original = Database.write

    @asynccontextmanager
    async def counted(
        self: Database, *, keep: bool = True, aside: bool = False
    ) -> AsyncIterator[AsyncSession]:
        async with original(self, keep=keep, aside=aside) as session:
            before = await _rows(session)
            yield session
            await session.flush()
            counts.append(before - await _rows(session))

    monkeypatch.setattr(Database, "write", counted)
    return counts


async def _move(plane: Plane) -> None:
    moved = pb.Artifact(name=APP, upstream="127.0.0.1:1/team/other", plain_http=True)
    await plane.root.artifacts.UpdateArtifact(
        pb.UpdateArtifactRequest(artifact=moved, skip_upstream_check=True)
    )


async def _delete(plane: Plane) -> None:
    await plane.root.artifacts.DeleteArtifact(pb.DeleteArtifactRequest(name=APP))


async def _delete_all(plane: Plane) -> None:
    request = organization_pb2.DeleteOrganizationRequest(name="organizations/acme", force=True)
    await plane.root.organizations.DeleteOrganization(request)


@pytest.mark.parametrize(
    ("change", "kept"),
    [(_move, 3 * _HELD), (_delete, 0), (_delete_all, 0)],
    ids=["move", "delete", "delete_all"],
)
async def test_much_goes_in_portions(
    plane: Plane, dropped: list[int], change: Callable[[Plane], Awaitable[None]], kept: int
) -> None:
    """Nobody else waits for all of it; of an artifact that moves, what tags stood for stays."""
    await change(plane)

    assert max(dropped) <= _MOST
    async with open_database(plane.data) as other, other.read() as session:
        assert await _rows(session) == kept


async def test_an_organization_that_somebody_else_began_to_delete(plane: Plane, dropped: list[int]) -> None:
    """A replica that was killed in the middle still counts as one that empties: its rest goes in portions."""
    async with open_database(plane.data) as other, other.write() as session:
        session.add(SyncLease(name="emptying killed", token="killed", fence=1, expires_at=1 << 60))
        await session.exec(update(Artifact).values(emptied_under="emptying killed"))

    await _delete_all(plane)

    assert max(dropped) <= _MOST


async def test_what_is_only_tried_or_refused_drops_nothing(plane: Plane, dropped: list[int]) -> None:
    """A change that is validated only, and a deletion of something else than what is there."""
    moved = pb.Artifact(name=APP, upstream="127.0.0.1:1/team/other", plain_http=True)
    request = pb.UpdateArtifactRequest(artifact=moved, skip_upstream_check=True, validate_only=True)
    await plane.root.artifacts.UpdateArtifact(request)
    with pytest.raises(Exception, match="changed"):
        await plane.root.artifacts.DeleteArtifact(pb.DeleteArtifactRequest(name=APP, etag='"other"'))
    with pytest.raises(Exception, match="still has"):
        await plane.root.organizations.DeleteOrganization(
            organization_pb2.DeleteOrganizationRequest(name="organizations/acme")
        )

    async with open_database(plane.data) as other, other.read() as session:
        assert await _rows(session) == 6 * _HELD
