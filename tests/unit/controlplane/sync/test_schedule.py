"""When the schedule comes to an artifact."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.model.artifact_tables import Artifact
from controlplane.model.identifiers import new_uid
from controlplane.sync.cron import ScheduleError
from controlplane.sync.schedule import Schedule

NOW = datetime(2026, 1, 1, 0, 20, tzinfo=UTC)
HALF_HOURLY = Schedule("15,45 * * * *", UTC)


def _artifact(schedule: str = "", *, paused: bool = False) -> Artifact:
    return Artifact(
        uid=new_uid(),
        organization_id=1,
        path="app",
        upstream="example.com/app",
        sync_schedule=schedule,
        sync_paused=paused,
        create_time=NOW,
        update_time=NOW,
    )


def _planned(schedule: Schedule, artifact: Artifact, now: datetime = NOW) -> datetime | None:
    schedule.plan(artifact, now)
    return artifact.next_sync_time


def test_ten_thousand_artifacts_begin_one_by_one() -> None:
    """They fill ten minutes evenly: in no second begin many."""
    starts = [
        HALF_HOURLY.following(new_uid(), "15,45 * * * *", NOW - timedelta(minutes=5)) for _ in range(10_000)
    ]
    seconds = Counter(int(start.timestamp()) for start in starts if start is not None)
    tick = datetime(2026, 1, 1, 0, 15, tzinfo=UTC).timestamp()
    assert tick <= min(seconds)
    assert max(seconds) <= tick + 600
    assert len(seconds) > 590
    assert max(seconds.values()) < 60


def test_an_artifact_keeps_its_place_and_misses_no_period() -> None:
    """From one start to the next it is always the same time, on every replica."""
    uid = new_uid()
    start = HALF_HOURLY.following(uid, HALF_HOURLY.expression, NOW)
    for _ in range(100):
        assert start is not None
        following = HALF_HOURLY.following(uid, HALF_HOURLY.expression, start)
        assert following == start + timedelta(minutes=30)
        assert (
            HALF_HOURLY.following(uid, HALF_HOURLY.expression, following - timedelta(seconds=1)) == following
        )
        start = following


def test_the_spread_is_half_of_a_short_period() -> None:
    """What is synced every second begins within half of one."""
    every = Schedule("@every 1s", UTC)
    for _ in range(200):
        start = every.following(new_uid(), every.expression, NOW)
        assert start is not None
        assert start > NOW
        assert start.microsecond < 500_000


def test_an_artifact_follows_its_own_schedule_or_that_of_the_installation() -> None:
    """Its own goes first; paused is neither."""
    own = _planned(HALF_HOURLY, _artifact("@daily"))
    assert own is not None
    assert timedelta(0) <= own - datetime(2026, 1, 2, tzinfo=UTC) <= timedelta(minutes=10)
    common = _planned(HALF_HOURLY, _artifact())
    assert common is not None
    assert common < NOW + timedelta(minutes=35)
    assert _planned(HALF_HOURLY, _artifact(paused=True)) is None
    assert _planned(HALF_HOURLY, _artifact("@daily", paused=True)) is None


def test_without_a_schedule_nothing_is_planned() -> None:
    """An installation without one still has artifacts with their own."""
    off = Schedule("", UTC)
    assert _planned(off, _artifact()) is None
    assert _planned(off, _artifact("@daily")) is not None


def test_a_schedule_is_well_formed_from_birth() -> None:
    """A bad one cannot be made."""
    with pytest.raises(ScheduleError):
        Schedule("61 * * * *", UTC)
