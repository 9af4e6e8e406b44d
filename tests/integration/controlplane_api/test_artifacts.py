"""ArtifactService as its callers notice it, with a scripted upstream on a real socket."""

from collections.abc import AsyncIterator

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from clients.control.client import ControlClient
from clients.oci.media_types import OCI_INDEX
from controlplane.server import running
from controlplane.settings import Settings
from penstock.v1 import artifact_pb2 as pb
from penstock.v1 import organization_pb2
from tests.fakes.faults import Fault
from tests.fakes.images import make_image, make_index
from tests.fakes.registry import FakeRegistry
from tests.servers.control_plane import Plane, refused

ACME = "organizations/acme"
APP = f"{ACME}/artifacts/app"


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    """Run an upstream with `team/app`, tags 1.0 and 2.0."""
    async with FakeRegistry() as registry:
        registry.add(
            make_index([make_image(seed=1), make_image(seed=2, platform=("linux", "arm64"))]),
            "team/app",
            ["1.0"],
        )
        registry.add(make_image(seed=3), "team/app", ["2.0"])
        yield registry


def _create(upstream: str, artifact_id: str = "app", **fields: bool) -> pb.CreateArtifactRequest:
    return pb.CreateArtifactRequest(
        parent=ACME,
        artifact_id=artifact_id,
        artifact=pb.Artifact(upstream=upstream, plain_http=True),
        **fields,
    )


async def _ended(client: ControlClient, job: str) -> pb.SyncJob:
    last = pb.SyncJob()
    async for last in client.artifacts.WatchSyncJob(pb.WatchSyncJobRequest(name=job)):
        assert last.name == job
    return last


async def test_creation_syncs_and_tags_appear(plane: Plane, registry: FakeRegistry) -> None:
    """From CreateArtifact to tags with media type, size and digest, over the job that is watched."""
    await plane.organization("acme")
    api = plane.root.artifacts
    created = await api.CreateArtifact(_create(f"{registry.host}/team/app"))
    assert (created.name, created.repository) == (APP, "acme/app")
    assert (created.upstream, created.plain_http) == (f"{registry.host}/team/app", True)
    jobs = (await api.ListSyncJobs(pb.ListSyncJobsRequest(parent=APP))).sync_jobs
    assert len(jobs) == 1
    job = await _ended(plane.root, jobs[0].name)
    assert (job.state, job.trigger, job.requested_by) == (
        pb.SyncJob.SUCCEEDED,
        pb.SyncJob.CREATION,
        "admin",
    )
    assert (job.tags_total, job.tags_new) == (2, 2)
    assert await api.GetSyncJob(pb.GetSyncJobRequest(name=job.name)) == job

    artifact = await api.GetArtifact(pb.GetArtifactRequest(name=APP))
    assert (artifact.tag_count, artifact.current_sync_job, artifact.last_sync_error) == (2, "", "")
    assert artifact.HasField("last_sync_time")
    assert artifact.etag == created.etag
    assert await api.GetArtifact(pb.GetArtifactRequest(name=f"artifacts/{artifact.uid}")) == artifact
    tags = (await api.ListTags(pb.ListTagsRequest(parent=APP))).tags
    assert [tag.name for tag in tags] == [f"{APP}/tags/1.0", f"{APP}/tags/2.0"]
    assert tags[0].media_type == OCI_INDEX
    assert tags[0].size > 0
    assert await api.GetTag(pb.GetTagRequest(name=f"{APP}/tags/1.0")) == tags[0]
    error = await refused(api.GetTag(pb.GetTagRequest(name=f"{APP}/tags/3.0")))
    assert (error.code.name, error.reason) == ("NOT_FOUND", "TAG_UNKNOWN")
    page = await api.ListTags(pb.ListTagsRequest(parent=APP, page_size=1))
    rest = await api.ListTags(pb.ListTagsRequest(parent=APP, page_token=page.next_page_token))
    assert [*page.tags, *rest.tags] == list(tags)


async def test_a_sync_by_hand_joins_one_that_runs(plane: Plane, registry: FakeRegistry) -> None:
    """Two requests while it runs give one job, which the artifact names; a later one gives another."""
    await plane.organization("acme")
    api = plane.root.artifacts
    await plane.artifact("acme", "app", f"{registry.host}/team/app")
    jobs = (await api.ListSyncJobs(pb.ListSyncJobsRequest(parent=APP))).sync_jobs
    await _ended(plane.root, jobs[0].name)
    registry.faults.add(Fault(kind="tags", stall=True, times=1))
    first = await api.SyncArtifact(pb.SyncArtifactRequest(name=APP))
    second = await api.SyncArtifact(pb.SyncArtifactRequest(name=f"artifacts/{await _uid(plane)}"))
    assert first.name == second.name != jobs[0].name
    assert first.trigger == pb.SyncJob.MANUAL
    artifact = await api.GetArtifact(pb.GetArtifactRequest(name=APP))
    assert artifact.current_sync_job == first.name
    pages = await api.ListSyncJobs(pb.ListSyncJobsRequest(parent=APP, page_size=1))
    assert [item.name for item in pages.sync_jobs] == [first.name]
    rest = await api.ListSyncJobs(pb.ListSyncJobsRequest(parent=APP, page_token=pages.next_page_token))
    assert [item.name for item in rest.sync_jobs] == [jobs[0].name]


async def _uid(plane: Plane) -> str:
    return (await plane.root.artifacts.GetArtifact(pb.GetArtifactRequest(name=APP))).uid


async def test_an_upstream_without_the_repository_is_a_precondition(
    plane: Plane, registry: FakeRegistry
) -> None:
    """Nothing is saved, unless the caller waives the check."""
    await plane.organization("acme")
    api = plane.root.artifacts
    for validate_only in (True, False):
        request = _create(f"{registry.host}/team/other", validate_only=validate_only)
        error = await refused(api.CreateArtifact(request))
        assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "UPSTREAM_NOT_FOUND")
        assert (error.metadata or {})["upstream_host"] == registry.host
    assert not (await api.ListArtifacts(pb.ListArtifactsRequest(parent=ACME))).artifacts
    await api.CreateArtifact(_create(f"{registry.host}/team/other", skip_upstream_check=True))


async def test_an_upstream_that_is_down_is_a_precondition(plane: Plane) -> None:
    """The reason is told, and names the host."""
    await plane.organization("acme")
    error = await refused(plane.root.artifacts.CreateArtifact(_create("127.0.0.1:1/team/app")))
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "UPSTREAM_UNAVAILABLE")
    assert "127.0.0.1:1" in str(error)


@pytest.mark.parametrize(
    "upstream",
    [
        "",
        "docker.io",
        "redis",
        "library/redis",
        "docker.io/library/redis:7",
        "https://docker.io/library/redis",
        "docker.io/Library/Redis",
        "docker.io/library/redis@sha256:" + "0" * 64,
        "user:password@docker.io/library/redis",
        "exa mple.com/a",
        "[::1/a",
    ],
)
async def test_upstreams_that_are_none(plane: Plane, upstream: str) -> None:
    """The field is named, with a good example, and a password is not repeated."""
    await plane.organization("acme")
    error = await refused(plane.root.artifacts.CreateArtifact(_create(upstream)))
    assert error.code.name == "INVALID_ARGUMENT"
    assert [item.field for item in error.violations] == ["artifact.upstream"]
    assert "docker.io/library/redis" in error.violations[0].description
    assert "password@" not in str(error)


async def test_private_addresses_are_refused_where_they_are_not_allowed(settings: Settings) -> None:
    """By default, an address of this machine or network is a wrong field, checked or not."""
    closed = settings.model_copy(update={"allow_private_upstreams": False})
    async with (
        running(closed) as started,
        ControlClient(str(started.grpc), started.new_admin_token or "") as root,
    ):
        await root.organizations.CreateOrganization(
            organization_pb2.CreateOrganizationRequest(organization_id="acme")
        )
        for upstream in ("127.0.0.1:5000/a", "localhost:5000/a", "10.0.0.1/a", "169.254.169.254/a"):
            for skip in (True, False):
                error = await refused(
                    root.artifacts.CreateArtifact(_create(upstream, skip_upstream_check=skip))
                )
                assert error.code.name == "INVALID_ARGUMENT"
                assert "PENSTOCK_ALLOW_PRIVATE_UPSTREAMS" in str(error)


async def test_everything_wrong_is_told_at_once(plane: Plane) -> None:
    """Parent, id, upstream and name of one request."""
    request = pb.CreateArtifactRequest(
        parent="acme",
        artifact_id="Team/App",
        artifact=pb.Artifact(upstream="nonsense", display_name="x" * 101),
    )
    error = await refused(plane.root.artifacts.CreateArtifact(request))
    assert [item.field for item in error.violations] == [
        "parent",
        "artifact_id",
        "artifact.upstream",
        "artifact.display_name",
    ]


async def test_ids_may_have_components(plane: Plane) -> None:
    """`team/app` and `team~app` are the same artifact."""
    await plane.organization("acme")
    created = await plane.artifact("acme", "team/app")
    assert (created.name, created.repository) == (f"{ACME}/artifacts/team~app", "acme/team/app")
    error = await refused(plane.artifact("acme", "team~app"))
    assert (error.code.name, error.reason) == ("ALREADY_EXISTS", "ARTIFACT_EXISTS")
    long = "a" * 251
    error = await refused(plane.artifact("acme", long))
    assert [item.field for item in error.violations] == ["artifact_id"]
    await plane.artifact("acme", long[:-1])


async def test_a_change_of_upstream_is_checked_and_synced(plane: Plane, registry: FakeRegistry) -> None:
    """A repository that is not there changes nothing; one that is starts a sync, and nodes are told."""
    await plane.organization("acme")
    api = plane.root.artifacts
    created = await plane.artifact("acme", "app")
    bad = pb.Artifact(name=APP, upstream=f"{registry.host}/team/other", plain_http=True)
    error = await refused(api.UpdateArtifact(pb.UpdateArtifactRequest(artifact=bad)))
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "UPSTREAM_NOT_FOUND")
    assert (await api.GetArtifact(pb.GetArtifactRequest(name=APP))).upstream == created.upstream

    good = pb.Artifact(name=APP, upstream=f"{registry.host}/team/app", etag=created.etag)
    preview = await api.UpdateArtifact(pb.UpdateArtifactRequest(artifact=good, validate_only=True))
    assert preview.upstream == good.upstream
    before = plane.revision()
    updated = await api.UpdateArtifact(pb.UpdateArtifactRequest(artifact=good))
    assert (updated.upstream, updated.plain_http) == (good.upstream, True)
    assert updated.etag != created.etag
    assert plane.revision() > before
    newest = (await api.ListSyncJobs(pb.ListSyncJobsRequest(parent=APP))).sync_jobs[0]
    assert newest.trigger == pb.SyncJob.UPSTREAM_CHANGE
    assert (await _ended(plane.root, newest.name)).state == pb.SyncJob.SUCCEEDED
    assert len((await api.ListTags(pb.ListTagsRequest(parent=APP))).tags) == 2


async def test_updates_by_mask_and_etag(plane: Plane) -> None:
    """A new display name asks no upstream and starts no sync; a required field cannot be cleared."""
    await plane.organization("acme")
    created = await plane.artifact("acme", "app")
    api = plane.root.artifacts
    jobs = len((await api.ListSyncJobs(pb.ListSyncJobsRequest(parent=APP))).sync_jobs)
    updated = await api.UpdateArtifact(
        pb.UpdateArtifactRequest(
            artifact=pb.Artifact(name=APP, display_name="App", upstream="docker.io/other/thing"),
            update_mask=FieldMask(paths=["display_name"]),
        )
    )
    assert (updated.display_name, updated.upstream) == ("App", created.upstream)
    assert len((await api.ListSyncJobs(pb.ListSyncJobsRequest(parent=APP))).sync_jobs) == jobs
    error = await refused(
        api.UpdateArtifact(
            pb.UpdateArtifactRequest(
                artifact=pb.Artifact(name=APP), update_mask=FieldMask(paths=["upstream"])
            )
        )
    )
    assert [item.field for item in error.violations] == ["artifact.upstream"]
    stale = pb.Artifact(name=APP, display_name="Other", etag=created.etag)
    error = await refused(api.UpdateArtifact(pb.UpdateArtifactRequest(artifact=stale)))
    assert (error.code.name, error.reason) == ("ABORTED", "ETAG_MISMATCH")


async def test_lists_and_deletes(plane: Plane) -> None:
    """In the order of their paths, page by page; a deleted one is gone with what it had."""
    await plane.organization("acme")
    api = plane.root.artifacts
    for artifact_id in ("zeta", "app", "team/app", "team"):
        await plane.artifact("acme", artifact_id)
    page = await api.ListArtifacts(pb.ListArtifactsRequest(parent=ACME, page_size=3))
    rest = await api.ListArtifacts(pb.ListArtifactsRequest(parent=ACME, page_token=page.next_page_token))
    names = [item.repository for item in (*page.artifacts, *rest.artifacts)]
    assert names == ["acme/app", "acme/team", "acme/team/app", "acme/zeta"]
    error = await refused(api.DeleteArtifact(pb.DeleteArtifactRequest(name=APP, etag="other")))
    assert error.reason == "ETAG_MISMATCH"
    before = plane.revision()
    await api.DeleteArtifact(pb.DeleteArtifactRequest(name=APP))
    assert plane.revision() == before + 1
    for call in (
        api.GetArtifact(pb.GetArtifactRequest(name=APP)),
        api.ListTags(pb.ListTagsRequest(parent=APP)),
        api.ListSyncJobs(pb.ListSyncJobsRequest(parent=APP)),
        api.SyncArtifact(pb.SyncArtifactRequest(name=APP)),
        api.DeleteArtifact(pb.DeleteArtifactRequest(name=APP)),
    ):
        error = await refused(call)
        assert (error.code.name, error.reason) == ("NOT_FOUND", "ARTIFACT_UNKNOWN")
