"""Schedules, syncs of many, and what is told of them, through the API."""

import asyncio
import functools
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from clients.control.client import ControlClient
from clients.process.exits import ConfigurationError
from controlplane.server import running
from controlplane.settings import Settings
from penstock.v1 import artifact_pb2 as pb
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.fakes.waiting import until
from tests.servers import http
from tests.servers.control_plane import Plane, refused
from tests.servers.redis_server import RedisServer

Starting = Callable[..., Any]


@pytest.fixture
def starting(settings: Settings) -> Starting:
    """Start a control plane with other settings."""

    @asynccontextmanager
    async def start(**changes: Any) -> AsyncIterator[Plane]:
        changed = settings.model_copy(update=changes)
        async with running(changed) as started, AsyncExitStack() as stack:
            token = started.new_admin_token or ""
            root = await stack.enter_async_context(ControlClient(str(started.grpc), token))
            yield Plane(started, settings.data_dir, root, token, stack)

    return start


async def _get(plane: Plane, path: str) -> http.Answer:
    call = functools.partial(http.request, str(plane.running.http), "GET", path)
    return await asyncio.to_thread(call)


async def _update(plane: Plane, name: str, policy: pb.SyncPolicy, *paths: str) -> pb.Artifact:
    request = pb.UpdateArtifactRequest(artifact=pb.Artifact(name=name, sync_policy=policy))
    request.update_mask.paths.extend(paths)
    return await plane.root.artifacts.UpdateArtifact(request)


async def test_an_artifact_shows_when_it_is_synced_next(starting: Starting) -> None:
    """By the installation's schedule, by its own, and not at all when it is paused."""
    async with starting(sync_cron="@hourly") as plane:
        await plane.organization("acme")
        artifact = await plane.artifact("acme", "app")
        now = datetime.now(UTC)
        first = artifact.next_sync_time.ToDatetime(UTC)
        assert now < first < now + timedelta(minutes=70)

        own = await _update(plane, artifact.name, pb.SyncPolicy(schedule="@yearly"), "sync_policy.schedule")
        assert own.next_sync_time.ToDatetime(UTC).month == 1
        paused = await _update(plane, artifact.name, pb.SyncPolicy(paused=True), "sync_policy.paused")
        assert not paused.HasField("next_sync_time")
        again = await _update(plane, artifact.name, pb.SyncPolicy(), "sync_policy")
        assert again.next_sync_time.ToDatetime(UTC).minute == first.minute

    # Another schedule of the installation is that of every artifact from its start on.
    async with starting(sync_cron="") as plane:
        root = await plane.client((plane.data / "admin-token").read_text().strip())
        left = await root.artifacts.GetArtifact(pb.GetArtifactRequest(name=artifact.name))
        assert not left.HasField("next_sync_time")


async def test_a_bad_schedule_is_refused_with_its_place(plane: Plane) -> None:
    """Nothing is changed."""
    await plane.organization("acme")
    artifact = await plane.artifact("acme", "app")
    error = await refused(
        _update(plane, artifact.name, pb.SyncPolicy(schedule="15,61 * * * *"), "sync_policy.schedule")
    )
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "artifact.sync_policy.schedule: character 4: '61' is no minute" in str(error)


async def test_the_schedule_syncs(starting: Starting, fake: FakeRegistry) -> None:
    """By itself, again and again, as jobs of nobody."""
    fake.add(make_image(), "team/app", ["1.0"])
    async with starting(sync_cron="@every 1s") as plane:
        await plane.organization("acme")
        artifact = await plane.artifact("acme", "app", f"{fake.host}/team/app")
        await asyncio.wait_for(fake.asked("tags", 4), 60)
        listed = await plane.root.artifacts.ListSyncJobs(pb.ListSyncJobsRequest(parent=artifact.name))
        triggers = {(job.trigger, job.requested_by) for job in listed.sync_jobs}
        assert (pb.SyncJob.SCHEDULE, "") in triggers
        text = (await _get(plane, "/metrics")).body.decode()
    assert 'penstock_sync_jobs_total{state="succeeded",trigger="schedule"}' in text
    assert 'penstock_sync_duration_seconds_count{state="succeeded"}' in text
    assert 'penstock_sync_last_success_timestamp_seconds{artifact="acme/app"}' in text
    assert "penstock_sync_paused 0.0" in text


async def test_many_are_synced_by_one_call(plane: Plane, fake: FakeRegistry) -> None:
    """All of an organization, or those with some labels; what runs is joined, others are left alone."""
    await plane.organization("acme")
    await plane.organization("other")
    fake.add(make_image(), "team/app", ["1.0"])
    for organization, artifact_id, labels in (
        ("acme", "web", {"team": "web", "tier": "prod"}),
        ("acme", "shop", {"team": "web"}),
        ("acme", "db", {"team": "db"}),
        ("other", "web", {"team": "web"}),
    ):
        await plane.root.artifacts.CreateArtifact(
            pb.CreateArtifactRequest(
                parent=f"organizations/{organization}",
                artifact_id=artifact_id,
                artifact=pb.Artifact(upstream=f"{fake.host}/team/app", plain_http=True, labels=labels),
            )
        )

    async def sync(selector: str, **options: Any) -> list[str]:
        answer = await plane.root.artifacts.SyncArtifacts(
            pb.SyncArtifactsRequest(parent="organizations/acme", label_selector=selector, **options)
        )
        return [job.name.split("/")[3] for job in answer.sync_jobs]

    assert await sync("") == ["db", "shop", "web"]
    assert await sync("team=web") == ["shop", "web"]
    assert await sync("team=web,!tier", force_removals=True) == ["shop"]
    assert await sync("team=none") == []
    error = await refused(sync("team in (web)"))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    reader = await plane.member("acme", "read_only")
    stranger = await plane.member("other", "admin")
    request = pb.SyncArtifactsRequest(parent="organizations/acme")
    assert (await refused(reader.artifacts.SyncArtifacts(request))).code == grpc.StatusCode.PERMISSION_DENIED
    assert (await refused(stranger.artifacts.SyncArtifacts(request))).code == grpc.StatusCode.NOT_FOUND


async def test_the_documented_command_starts_a_sync(plane: Plane, fake: FakeRegistry) -> None:
    """The line of the existing product's documentation, with another host and id."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not on this machine")
    await plane.organization("acme")
    fake.add(make_image(), "team/app", ["1.0"])
    artifact = await plane.artifact("acme", "app", f"{fake.host}/team/app")
    _, token = await plane.user("acme", "read_write")
    url = f"http://{plane.running.http}/api/v1/artifacts/{artifact.uid}/sync"
    command = [curl, "--silent", "--show-error", "--fail", "-X", "POST", url]
    command += ["-H", f"Authorization: AccessToken {token}"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    job = json.loads(done.stdout)
    assert job["requestedBy"] in {"read_write@acme.example.com", ""} or job["trigger"] == "CREATION"

    async def synced() -> bool:
        request = pb.GetSyncJobRequest(name=job["name"])
        return (await plane.root.artifacts.GetSyncJob(request)).state == pb.SyncJob.SUCCEEDED

    await until(synced)


@pytest.mark.real
async def test_without_redis_syncs_are_paused_and_the_reason_is_told(
    starting: Starting, redis: RedisServer, fake: FakeRegistry
) -> None:
    """By gRPC and REST, in /readyz, which stays ready, and in the metrics; and all goes on afterwards."""
    fake.add(make_image(), "team/app", ["1.0"])
    async with starting(redis_url=redis.url) as plane:
        await plane.organization("acme")
        artifact = await plane.artifact("acme", "app", f"{fake.host}/team/app")
        await asyncio.wait_for(fake.asked("tags", 1), 30)
        redis.stop()

        error = await refused(plane.root.artifacts.SyncArtifact(pb.SyncArtifactRequest(name=artifact.name)))
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SYNC_PAUSED")
        assert "PENSTOCK_REDIS_URL" in str(error)
        ask_all = pb.SyncArtifactsRequest(parent="organizations/acme")
        assert (await refused(plane.root.artifacts.SyncArtifacts(ask_all))).reason == "SYNC_PAUSED"
        answer = await asyncio.to_thread(
            http.request,
            str(plane.running.http),
            "POST",
            f"/api/v1/artifacts/{artifact.uid}/sync",
            headers={"Authorization": f"AccessToken {plane.root_token}"},
        )
        assert answer.status == 503
        ready = await _get(plane, "/readyz")
        assert (ready.status, ready.json()["ready"]) == (200, True)
        assert "Redis does not answer" in ready.json()["details"]["sync"]
        assert "penstock_sync_paused 1.0" in (await _get(plane, "/metrics")).body.decode()
        # Changes are taken all the same: their sync waits.
        other = await plane.artifact("acme", "other", f"{fake.host}/team/app")
        assert other.current_sync_job

        redis.start()

        async def synced() -> bool:
            request = pb.GetArtifactRequest(name=other.name)
            return (await plane.root.artifacts.GetArtifact(request)).HasField("last_sync_time")

        await until(synced)

        async def told() -> bool:
            return (await _get(plane, "/readyz")).json()["details"] == {}

        await until(told)
        await plane.root.artifacts.SyncArtifact(pb.SyncArtifactRequest(name=artifact.name))


async def test_a_url_of_redis_that_is_none_is_refused(settings: Settings) -> None:
    """At the start, by the name of the setting."""
    with pytest.raises(ConfigurationError, match="PENSTOCK_REDIS_URL"):
        async with running(settings.model_copy(update={"redis_url": "localhost:6379"})):
            pass
