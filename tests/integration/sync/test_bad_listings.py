"""Lists of tags that are wrong cost nothing but themselves."""

import json

import pytest

from penstock.v1 import artifact_pb2
from tests.fakes.images import make_image
from tests.fakes.runs import Runs

_Job = artifact_pb2.SyncJob


def _page(*tags: object) -> bytes:
    return json.dumps({"name": "team/app", "tags": tags}).encode()


async def _held(runs: Runs) -> None:
    runs.add(make_image(seed=1), "1.0")
    runs.add(make_image(seed=2), "2.0")
    await runs.sync()


@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"Link": '<http://192.0.2.1/v2/team/app/tags/list?last=1.0>; rel="next"'}},
        {"headers": {"Link": '</v2/team/app/tags/list?n=1000>; rel="next"'}},
        {"headers": {"Link": "<<<"}},
        {"body": b"<html>"},
        {"body": b'{"name": "team/app"}'},
        {"body": b'{"tags": {"1.0": 1}}'},
        {"body": b"[" * 100_000},
        {"body": b'{"tags": ["' + b"x" * (5 * 1024 * 1024) + b'"]}'},
        {"cut_after": 10},
        {"status": 404},
        {"status": 401},
    ],
    ids=["elsewhere", "loop", "junk-link", "html", "no-tags", "no-list", "deep", "huge", "cut", "404", "401"],
)
async def test_a_listing_that_cannot_be_followed_fails_the_job(runs: Runs, how: dict[str, object]) -> None:
    """With a reason, again and again, and nothing that is held is taken away."""
    await _held(runs)
    runs.fake.faults.add("tags", **how)
    for _ in range(3):
        job = await runs.sync()
        assert job.state == _Job.FAILED
        assert runs.fake.host in job.error
    assert set(await runs.tags()) == {"1.0", "2.0"}


async def test_tags_that_are_none_and_tags_that_come_twice(runs: Runs) -> None:
    """The former are left out, the latter are synced once; the others are in place."""
    runs.add(make_image(seed=1), "1.0")
    bad = ["1.0", "../../etc", "", "-x", "a" * 200, "ü", None, 7, {"a": 1}, "1.0"]
    runs.fake.faults.add("tags", body=_page("1.0", *bad))

    job = await runs.sync()

    assert (job.state, job.tags_total, job.tags_new) == (_Job.SUCCEEDED, 1, 1)
    assert job.requests["manifest_heads"] == 1


async def test_more_tags_than_can_be_synced(runs: Runs) -> None:
    """The job says so, and asks for none of them; what is held stays."""
    await _held(runs)
    runs.fake.faults.add("tags", body=_page(*(f"t{number}" for number in range(250_001))))

    job = await runs.sync()

    assert (job.state, job.tags_done) == (_Job.FAILED, 0)
    assert "250000" in job.error
    assert runs.fake.count(kind="manifests") == 0
    assert set(await runs.tags()) == {"1.0", "2.0"}
