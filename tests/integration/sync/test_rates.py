"""Runs keep to what an upstream says of its limits."""

from typing import Any

import pytest

from clients.oci import rate
from clients.oci.request import Account
from penstock.v1 import artifact_pb2
from tests.fakes.images import make_image
from tests.fakes.runs import Runs

_Job = artifact_pb2.SyncJob


def _low(runs: Runs, **how: Any) -> None:
    headers = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "10;w=21600"}
    runs.fake.faults.add("manifests", headers=headers, **how)


def _many(runs: Runs) -> None:
    for number in range(100):
        runs.add(make_image([b"x"], seed=number), f"v{number:03}")


async def test_a_scheduled_sync_leaves_the_rest_to_pulls_and_resumes(runs: Runs) -> None:
    """Below the share it stops, says why, and takes nothing away; later it goes on by itself."""
    _many(runs)
    _low(runs)

    job = await runs.sync(trigger=_Job.SCHEDULE)
    assert job.state in (_Job.FAILED, _Job.PARTIAL)
    assert "10 of 100 requests are left" in job.error
    assert "PENSTOCK_SYNC_RATE_SHARE" in job.error
    assert runs.fake.count(kind="manifests") < 20

    # As long as that is believed, nothing is asked at all.
    job = await runs.sync(trigger=_Job.SCHEDULE)
    assert (job.state, runs.fake.requests) == (_Job.FAILED, [])

    runs.fake.faults.clear()
    runs.transport.rates.note(
        Account(runs.fake.host), 200, {"RateLimit-Limit": "100", "RateLimit-Remaining": "99"}
    )
    job = await runs.sync(trigger=_Job.SCHEDULE)
    assert (job.state, len(await runs.tags())) == (_Job.SUCCEEDED, 100)


async def test_a_sync_that_somebody_asked_for_goes_on(runs: Runs) -> None:
    """What a person wants now is not held back."""
    _many(runs)
    _low(runs)
    assert (await runs.sync(trigger=_Job.MANUAL)).state == _Job.SUCCEEDED


async def test_a_refusal_in_the_middle_is_waited_for(runs: Runs) -> None:
    """All of the run waits, then goes on; no tag fails."""
    _many(runs)
    runs.fake.faults.add("manifests", reference="v050", status=429, headers={"Retry-After": "1"}, times=1)

    job = await runs.sync()

    assert (job.state, job.tags_new, job.tags_failed) == (_Job.SUCCEEDED, 100, 0)


async def test_a_refusal_for_longer_than_the_run_may_take_ends_it(runs: Runs) -> None:
    """With what was learned in place, and the reason said; the next run leaves the host alone as well."""
    _many(runs)
    runs.fake.faults.add("manifests", reference="v050", status=429, headers={"Retry-After": "90"})

    job = await runs.sync()

    assert job.state == _Job.PARTIAL
    assert "left alone" in job.error
    assert 0 < len(await runs.tags()) < 100
    job = await runs.sync()
    assert (job.state, runs.fake.requests) == (_Job.FAILED, [])


async def test_a_sync_by_hand_tries_again_what_the_schedule_leaves_alone(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the upstream takes it then, the schedule goes on as well."""
    monkeypatch.setattr(rate, "_UNDISPUTED", 0)
    runs.add(make_image(), "1.0")
    runs.fake.faults.add("tags", status=429, headers={"Retry-After": "86400"}, times=1)
    states = [
        (await runs.sync(trigger=trigger)).state
        for trigger in (_Job.SCHEDULE, _Job.SCHEDULE, _Job.MANUAL, _Job.SCHEDULE)
    ]
    assert states == [_Job.FAILED, _Job.FAILED, _Job.SUCCEEDED, _Job.SUCCEEDED]


async def test_a_listing_that_is_refused_is_waited_for(runs: Runs) -> None:
    """And goes on where it was."""
    _many(runs)
    runs.fake.page_size = 40
    runs.fake.faults.add("tags", times=1)
    runs.fake.faults.add("tags", status=429, headers={"Retry-After": "1"}, times=1)

    job = await runs.sync()

    assert (job.state, job.tags_total) == (_Job.SUCCEEDED, 100)
    assert job.requests["tag_pages"] == 4
