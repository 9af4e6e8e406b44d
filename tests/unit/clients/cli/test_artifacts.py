"""`penstock artifacts` and `penstock tags`."""

import json

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from penstock.v1.artifact_pb2 import Artifact, ListArtifactsResponse, ListTagsResponse, SyncJob, Tag
from tests.fakes.scripted_api import Refusal

JOB = "organizations/acme/artifacts/redis/syncJobs/j1"
REDIS = Artifact(
    name="organizations/acme/artifacts/redis",
    upstream="docker.io/library/redis",
    repository="acme/redis",
    tag_count=3,
    current_sync_job=JOB,
)
SYNCED = Artifact(name=REDIS.name, upstream=REDIS.upstream, repository="acme/redis", tag_count=3)
SYNCED.last_sync_time.FromJsonString("2026-11-23T13:09:12Z")


def job(state, **fields):
    """A sync of three tags that has got this far."""
    return SyncJob(name=JOB, state=state, tags_total=3, tags_done=3, **fields)


def test_create(run, api):
    """All that the contract says reaches the API; the artifact is shown, without waiting for its sync."""
    api.answer("CreateArtifact", REDIS)
    flags = ("--upstream", "127.0.0.1:5000/team/app", "--plain-http", "--skip-upstream-check")
    result = run("artifacts", "create", "acme/team/app", *flags)
    assert result.code == 0
    (request,) = api.requests("CreateArtifact")
    assert (request.parent, request.artifact_id) == ("organizations/acme", "team~app")
    assert request.artifact.upstream == "127.0.0.1:5000/team/app"
    assert request.artifact.plain_http
    assert request.skip_upstream_check
    assert not api.requests("WatchSyncJob")


def test_create_and_wait(run, api):
    """Progress on standard error, the artifact as the sync left it on standard output."""
    api.answer("CreateArtifact", REDIS)
    running = SyncJob(name=JOB, state=SyncJob.RUNNING)
    api.answer("WatchSyncJob", [running, job(SyncJob.SUCCEEDED, tags_new=3)])
    api.answer("GetArtifact", SYNCED)
    result = run("artifacts", "create", "acme/redis", "--upstream", "docker.io/library/redis", "--wait")
    assert result.code == 0
    assert "2026-11-23T13:09:12Z" in result.out
    assert result.err.splitlines() == [
        "sync of acme/redis: running",
        "sync of acme/redis: succeeded (3 tags: 3 new)",
    ]
    assert api.requests("WatchSyncJob")[0].name == JOB


def test_a_failed_sync_fails_the_wait(run, api):
    """Exit code 1 and the reason; what was created is still shown."""
    api.answer("CreateArtifact", REDIS)
    api.answer("WatchSyncJob", [SyncJob(name=JOB, state=SyncJob.FAILED, error="The upstream is gone.")])
    api.answer("GetArtifact", SYNCED)
    result = run(
        "artifacts", "create", "acme/redis", "--upstream", "docker.io/library/redis", "--wait", "-o", "json"
    )
    assert result.code == 1
    assert json.loads(result.out)["repository"] == "acme/redis"
    assert "The upstream is gone." in result.err


def test_a_partial_sync_lists_its_tags(run, api):
    """Exit code 1 and every tag that failed with its reason, and how many more there are."""
    errors = [SyncJob.TagError(tag="7.1", reason="The manifest is no JSON.")]
    api.answer("SyncArtifact", SyncJob(name=JOB, state=SyncJob.PENDING))
    api.answer("WatchSyncJob", [job(SyncJob.PARTIAL, tags_failed=2, tag_errors=errors)])
    result = run("artifacts", "sync", "acme/redis", "--wait")
    assert result.code == 1
    assert (
        "penstock: The sync of acme/redis left out 2 tags of 3:\n  7.1: The manifest is no JSON."
        in result.err
    )
    assert "  and 1 more\n" in result.err


def test_sync_without_waiting(run, api):
    """The job is shown as it is; nobody watches it."""
    api.answer("SyncArtifact", SyncJob(name=JOB, state=SyncJob.PENDING, trigger=SyncJob.MANUAL))
    result = run("artifacts", "sync", "acme/redis", "--output", "json")
    assert result.code == 0
    assert json.loads(result.out)["state"] == "PENDING"
    assert not api.requests("WatchSyncJob")


def test_sync_of_what_was_just_created_is_joined(run, api):
    """Where the answer names no sync, one is asked for, which joins the one that runs."""
    api.answer("CreateArtifact", SYNCED)
    api.answer("SyncArtifact", SyncJob(name=JOB, state=SyncJob.RUNNING))
    api.answer("WatchSyncJob", [job(SyncJob.SUCCEEDED)])
    api.answer("GetArtifact", SYNCED)
    assert (
        run("artifacts", "create", "acme/redis", "--upstream", "docker.io/library/redis", "--wait").code == 0
    )


def test_progress_is_sparse_without_a_terminal(run, api):
    """Some lines for a long sync, not one for each tag."""
    running = [
        SyncJob(name=JOB, state=SyncJob.RUNNING, tags_total=1000, tags_done=n) for n in range(0, 1001, 5)
    ]
    api.answer("SyncArtifact", running[0])
    api.answer("WatchSyncJob", [*running, job(SyncJob.SUCCEEDED)])
    lines = run("artifacts", "sync", "acme/redis", "--wait").err.splitlines()
    assert 5 < len(lines) < 20
    assert "sync of acme/redis: 500 of 1000 tags" in lines


def test_get_tells_how_the_sync_is(run, api):
    """Upstream, last synced at, last sync error, next sync, tags."""
    found = Artifact()
    found.CopyFrom(SYNCED)
    found.last_sync_error = "The upstream refused."
    api.answer("GetArtifact", found)
    lines = dict(line.split("   ", 1) for line in run("artifacts", "get", "acme/redis").out.splitlines())
    values = {title.strip(): value.strip() for title, value in lines.items()}
    assert values["upstream"] == "docker.io/library/redis"
    assert values["last synced at"] == "2026-11-23T13:09:12Z"
    assert values["last sync error"] == "The upstream refused."
    assert values["next sync"] == "-"
    assert values["tags"] == "3"


def test_list(run, api):
    """One line an artifact."""
    api.answer("ListArtifacts", ListArtifactsResponse(artifacts=[REDIS, SYNCED]))
    lines = run("artifacts", "list", "acme").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["acme/redis", "acme/redis"]


def test_update_names_what_changes(run, api):
    """Only what was given is in the mask, `--tls` included."""
    api.answer("UpdateArtifact", SYNCED)
    assert run("artifacts", "update", "acme/redis", "--tls", "--display-name", "R").code == 0
    (request,) = api.requests("UpdateArtifact")
    assert set(request.update_mask.paths) == {"plain_http", "display_name"}
    assert request.artifact.name == REDIS.name
    assert run("artifacts", "update", "acme/redis").code == 2


def test_waiting_for_a_change_that_syncs_nothing(run, api):
    """Another name or policy starts no sync: there is nothing to wait for, and it is said."""
    api.answer("UpdateArtifact", SYNCED)
    for change in (("--display-name", "R"), ("--newest", "5")):
        result = run("artifacts", "update", "acme/redis", *change, "--wait")
        assert result.code == 0
        assert "starts no sync" in result.err
        assert "starts no sync" not in run("artifacts", "update", "acme/redis", *change).err
    assert not api.requests("SyncArtifact")


def test_delete(run, api):
    """Says what is gone."""
    api.answer("DeleteArtifact", Empty())
    assert run("artifacts", "delete", "acme/team/app").out == "Deleted acme/team/app.\n"
    assert api.requests("DeleteArtifact")[0].name == "organizations/acme/artifacts/team~app"


def test_a_wrong_upstream_is_explained(run, api):
    """The server's sentence, with the option that it is about, as wrong usage."""
    api.answer(
        "CreateArtifact",
        Refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            "artifact.upstream: no tag, please.",
            "INVALID_REQUEST",
            [("artifact.upstream", "no tag, please.")],
        ),
    )
    result = run("artifacts", "create", "acme/redis", "--upstream", "docker.io/library/redis:7")
    assert (result.code, result.err) == (2, "penstock: upstream: no tag, please.\n")


def test_all_that_is_wrong_is_listed(run, api):
    """Every violation has a line."""
    violations = [("artifact_id", "too long."), ("artifact.upstream", "no tag, please.")]
    api.answer(
        "CreateArtifact", Refusal(grpc.StatusCode.INVALID_ARGUMENT, "x", "INVALID_REQUEST", violations)
    )
    lines = run("artifacts", "create", "acme/redis", "--upstream", "a/b:7").err.splitlines()
    assert lines[1:] == ["  artifact_id: too long.", "  upstream: no tag, please."]


@pytest.mark.parametrize("artifact", ["redis", "", "/", "acme/", "acme/redis:7", "acme/redis@sha256:0"])
def test_what_is_no_artifact(run, api, artifact):
    """Wrong usage, with an example, before anything is asked."""
    result = run("artifacts", "get", artifact)
    assert result.code == 2
    assert "acme/redis" in result.err
    assert not api.calls


def test_list_tags(run, api):
    """Every tag of every page, as a table and as JSON."""
    tags = [Tag(name=f"{REDIS.name}/tags/7.{n}", digest=f"sha256:{n}", size=500) for n in range(2)]
    pages = (ListTagsResponse(tags=tags[:1], next_page_token="n"), ListTagsResponse(tags=tags[1:]))
    api.answer("ListTags", *pages)
    assert [line.split()[0] for line in run("tags", "list", "acme/redis").out.splitlines()[1:]] == [
        "7.0",
        "7.1",
    ]
    api.answer("ListTags", *pages)
    shown = json.loads(run("tags", "list", "acme/redis", "-o", "json").out)
    assert [tag["digest"] for tag in shown] == ["sha256:0", "sha256:1"]


def test_get_a_tag(run, api):
    """Written as in a pull."""
    api.answer("GetTag", Tag(name=f"{REDIS.name}/tags/7.2", digest="sha256:abc"))
    assert "sha256:abc" in run("tags", "get", "acme/redis:7.2").out
    assert api.requests("GetTag")[0].name == "organizations/acme/artifacts/redis/tags/7.2"
    assert run("tags", "get", "acme/redis").code == 2
