"""The options of `penstock artifacts` that say what is synced, and `penstock tags history`."""

import json

from penstock.v1.artifact_pb2 import (
    Artifact,
    CachePolicy,
    ListTagRevisionsResponse,
    SyncJob,
    SyncPolicy,
    TagRevision,
)

REDIS = Artifact(name="organizations/acme/artifacts/redis", repository="acme/redis")


def test_a_policy_at_creation(run, api):
    """Every option reaches the API in its own field."""
    api.answer("CreateArtifact", REDIS)
    options = (
        *("--label", "team=shop", "--label", "tier=1", "--schedule", "@hourly", "--paused"),
        *("--include-tag", "1.*", "--include-tag", "2.*", "--exclude-tag", "*-rc", "--version-range", ">=1"),
        *("--newest", "5", "--platform", "linux/amd64", "--deleted-tags", "keep"),
        *("--max-tag-age", "5m", "--revalidate-before-answer"),
        *("--pin-tags", "7.*", "--prefetch-tags", "7.*", "--prefetch-platform", "linux/amd64"),
    )
    result = run("artifacts", "create", "acme/redis", "--upstream", "docker.io/library/redis", *options)
    assert result.code == 0, result.err
    (request,) = api.requests("CreateArtifact")
    policy = SyncPolicy(
        schedule="@hourly",
        paused=True,
        include_tags=["1.*", "2.*"],
        exclude_tags=["*-rc"],
        version_range=">=1",
        newest=5,
        platforms=["linux/amd64"],
        deleted_tags=SyncPolicy.KEEP,
        revalidate_before_answer=True,
    )
    policy.max_tag_age.FromSeconds(300)
    assert request.artifact.sync_policy == policy
    assert request.artifact.labels == {"team": "shop", "tier": "1"}
    assert request.artifact.cache_policy == CachePolicy(
        pin_tags=["7.*"], prefetch_tags=["7.*"], prefetch_platforms=["linux/amd64"]
    )


def test_an_update_names_what_was_given_and_nothing_else(run, api):
    """The rest of the policy stays; an empty text empties its field."""
    api.answer("UpdateArtifact", REDIS)
    options = ("--not-paused", "--include-tag", "", "--max-tag-age", "", "--newest", "0", "--sync-only")
    options += ("--pin-tags", "")
    result = run("artifacts", "update", "acme/redis", *options)
    assert result.code == 0, result.err
    (request,) = api.requests("UpdateArtifact")
    assert set(request.update_mask.paths) == {
        "sync_policy.paused",
        "sync_policy.include_tags",
        "sync_policy.max_tag_age",
        "sync_policy.newest",
        "sync_policy.sync_only",
        "cache_policy.pin_tags",
    }
    assert request.artifact.sync_policy == SyncPolicy(sync_only=True)


def test_what_cannot_be_read_is_refused_before_anything_is_sent(run, api):
    """With the usual exit code for wrong usage, and a good example."""
    for options in (("--label", "team"), ("--max-tag-age", "soon"), ("--deleted-tags", "forget")):
        result = run("artifacts", "update", "acme/redis", *options)
        assert result.code == 2
        assert options[1] in result.err
    assert not api.calls


def test_a_number_that_no_field_holds(run, api):
    """Is wrong usage like every other that is too large, and asks nothing."""
    for newest in ("-1", "3000000000"):
        result = run("artifacts", "update", "acme/redis", "--newest", newest)
        assert result.code == 2
        assert "--newest" in result.err
    assert not api.calls


def test_a_sync_that_held_back_removals_fails_the_wait_with_its_reason(run, api):
    """No tag failed, and yet not all is as it is upstream."""
    name = f"{REDIS.name}/syncJobs/j1"
    held_back = SyncJob(name=name, state=SyncJob.PARTIAL, tags_total=1, tags_missing=5, error="They stay.")
    api.answer("SyncArtifact", SyncJob(name=name, state=SyncJob.PENDING))
    api.answer("WatchSyncJob", [held_back])
    result = run("artifacts", "sync", "acme/redis", "--wait")
    assert result.code == 1
    assert "not complete: They stay." in result.err
    assert "5 missing upstream" in result.out


def test_the_history_of_a_tag(run, api):
    """Newest first, as the API gives it; the one that lasts has no end."""
    old, new = TagRevision(digest="sha256:a"), TagRevision(digest="sha256:b")
    old.start_time.FromJsonString("2026-11-01T00:00:00Z")
    old.end_time.FromJsonString("2026-11-02T00:00:00Z")
    new.start_time.FromJsonString("2026-11-02T00:00:00Z")
    api.answer("ListTagRevisions", ListTagRevisionsResponse(tag_revisions=[new, old]))
    result = run("tags", "history", "acme/redis:7", "--output", "json")
    assert result.code == 0
    assert [revision["digest"] for revision in json.loads(result.out)] == ["sha256:b", "sha256:a"]
    assert api.requests("ListTagRevisions")[0].parent == f"{REDIS.name}/tags/7"
    table = run("tags", "history", "acme/redis:7").out
    assert "2026-11-02T00:00:00Z" in table


def test_an_artifact_shows_its_policy(run, api):
    """What is not as usual, and a sync what it asked of the upstream."""
    policy = SyncPolicy(newest=5, paused=True, platforms=["linux/amd64", "linux/arm64"])
    policy.deleted_tags = SyncPolicy.PRUNE
    policy.max_tag_age.FromSeconds(300)
    shown = Artifact(name=REDIS.name, sync_policy=policy, labels={"team": "shop"}, size_bytes=123456)
    api.answer("GetArtifact", shown)
    table = run("artifacts", "get", "acme/redis").out
    assert "paused, newest 5, platforms linux/amd64 linux/arm64, max tag age 300s" in " ".join(table.split())
    assert "team=shop" in table
    assert "123456" in table


def test_a_forced_sync(run, api):
    """It is said to the API, and what was asked of the upstream is shown."""
    job = SyncJob(name=f"{REDIS.name}/syncJobs/j1", state=SyncJob.RUNNING)
    job.requests.tag_pages = 2
    api.answer("SyncArtifact", job)
    result = run("artifacts", "sync", "acme/redis", "--force-removals")
    assert result.code == 0
    assert api.requests("SyncArtifact")[0].force_removals
    assert "2 tag pages" in result.out
