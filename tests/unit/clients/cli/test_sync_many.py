"""`penstock artifacts sync` of many artifacts."""

import json

import grpc
import pytest

from penstock.v1.artifact_pb2 import SyncArtifactsResponse, SyncJob
from tests.fakes.scripted_api import Refusal


def _job(artifact: str, state: int = SyncJob.PENDING, **fields) -> SyncJob:
    return SyncJob(name=f"organizations/acme/artifacts/{artifact}/syncJobs/j1", state=state, **fields)


@pytest.mark.parametrize(
    ("arguments", "selector"), [(["--all"], ""), (["--selector", "team=web,!old"], "team=web,!old")]
)
def test_all_or_some_are_synced_by_one_call(run, api, arguments, selector):
    """The organization and the selector reach the API; the jobs are listed by artifact."""
    api.answer("SyncArtifacts", SyncArtifactsResponse(sync_jobs=[_job("redis"), _job("team~app")]))
    result = run("artifacts", "sync", "acme", *arguments)
    assert result.code == 0
    (request,) = api.requests("SyncArtifacts")
    assert (request.parent, request.label_selector, request.force_removals) == (
        "organizations/acme",
        selector,
        False,
    )
    assert "acme/redis" in result.out
    assert "acme/team/app" in result.out


def test_waiting_tells_of_each_and_fails_with_the_errors(run, api):
    """One that failed does not hide the others; the list is complete on standard output."""
    api.answer("SyncArtifacts", SyncArtifactsResponse(sync_jobs=[_job("a"), _job("b")]))
    ended = [_job("a", SyncJob.SUCCEEDED, tags_total=2), _job("b", SyncJob.FAILED, error="No answer.")]
    api.answer("WatchSyncJob", [ended[0]], [ended[1]])
    result = run("artifacts", "sync", "acme", "--all", "--wait", "--output", "json")
    assert result.code == 1
    assert [job["state"] for job in json.loads(result.out)] == ["SUCCEEDED", "FAILED"]
    assert "sync of acme/a: succeeded (2 tags), 1 of 2" in result.err
    assert "penstock: 1 of 2 syncs did not succeed:\n  The sync of acme/b failed: No answer." in result.err


def test_nothing_has_the_labels(run, api):
    """Nothing failed, and it is said that nothing was done; the list is empty."""
    api.answer("SyncArtifacts", SyncArtifactsResponse())
    result = run("artifacts", "sync", "acme", "--selector", "team=wbe", "--wait", "-o", "json")
    assert (result.code, json.loads(result.out)) == (0, [])
    assert "acme has no artifact with the labels team=wbe" in result.err


def test_an_organization_alone(run, api):
    """The sentence names both things that may be meant, and nothing is synced."""
    result = run("artifacts", "sync", "acme")
    assert result.code == 2
    assert "acme/redis" in result.err
    assert "--all" in result.err
    assert not api.calls


def test_an_artifact_that_is_deleted_meanwhile_does_not_hide_the_others(run, api):
    """Its sync is told as one that did not succeed, and the rest is waited for."""
    api.answer("SyncArtifacts", SyncArtifactsResponse(sync_jobs=[_job("a"), _job("b")]))
    gone = Refusal(grpc.StatusCode.NOT_FOUND, "There is no such sync.", "SYNC_JOB_UNKNOWN")
    api.answer("WatchSyncJob", gone, [_job("b", SyncJob.SUCCEEDED, tags_total=2)])
    result = run("artifacts", "sync", "acme", "--all", "--wait", "--output", "json")
    assert result.code == 1
    assert [job["state"] for job in json.loads(result.out)] == ["FAILED", "SUCCEEDED"]
    assert "sync of acme/b: succeeded (2 tags), 2 of 2" in result.err
    assert "1 of 2 syncs did not succeed:\n  The sync of acme/a failed: There is no such sync." in result.err


def test_all_and_some_are_not_both(run, api):
    """It is said before anything is asked."""
    result = run("artifacts", "sync", "acme", "--all", "--selector", "a=b")
    assert result.code == 2
    assert "not both" in result.err
    assert not api.calls
