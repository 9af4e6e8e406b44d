"""Schedules as people write them: what they mean, and where they are wrong."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.sync.cron import ScheduleError, parse_ticks, parse_time_zone

NOW = datetime(2026, 1, 1, 0, 15, 30, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("15,45 * * * *", "2026-01-01T00:15", "2026-01-01T00:45"),
        ("  15,45  *  * * * ", "2026-01-01T00:15", "2026-01-01T00:45"),
        ("*/20 * * * *", "2026-01-01T00:00", "2026-01-01T00:20"),
        ("0 3 * * MON-FRI", "2025-12-31T03:00", "2026-01-01T03:00"),
        ("0 0 L * *", "2025-12-31T00:00", "2026-01-31T00:00"),
        ("0 0 29 2 *", "2024-02-29T00:00", "2028-02-29T00:00"),
        ("@hourly", "2026-01-01T00:00", "2026-01-01T01:00"),
        ("@daily", "2026-01-01T00:00", "2026-01-02T00:00"),
        ("@midnight", "2026-01-01T00:00", "2026-01-02T00:00"),
        ("@weekly", "2025-12-28T00:00", "2026-01-04T00:00"),
        ("@monthly", "2026-01-01T00:00", "2026-02-01T00:00"),
        ("@yearly", "2026-01-01T00:00", "2027-01-01T00:00"),
        ("@annually", "2026-01-01T00:00", "2027-01-01T00:00"),
        ("@every 1s", "2026-01-01T00:15:30", "2026-01-01T00:15:31"),
        ("@every 90s", "2026-01-01T00:15:00", "2026-01-01T00:16:30"),
    ],
)
def test_a_schedule_has_moments(text: str, before: str, after: str) -> None:
    """The last one and the next one, as seen from some moment between."""
    ticks = parse_ticks(text, UTC)
    assert ticks.until(NOW) == datetime.fromisoformat(before).replace(tzinfo=UTC)
    assert ticks.after(NOW) == datetime.fromisoformat(after).replace(tzinfo=UTC)


def test_a_moment_itself_is_the_last_one() -> None:
    """At 00:45 sharp the next is 01:15."""
    ticks = parse_ticks("15,45 * * * *", UTC)
    moment = datetime(2026, 1, 1, 0, 45, tzinfo=UTC)
    assert ticks.until(moment) == moment
    assert ticks.after(moment) == moment + timedelta(minutes=30)


def test_hours_are_those_of_the_time_zone() -> None:
    """03:00 in Berlin is 02:00 UTC in winter and 01:00 in summer; what the clocks skip comes after."""
    berlin = ZoneInfo("Europe/Berlin")
    daily = parse_ticks("0 3 * * *", berlin)
    assert daily.after(datetime(2026, 1, 1, tzinfo=UTC)).hour == 2
    assert daily.after(datetime(2026, 7, 1, tzinfo=UTC)).hour == 1
    skipped = parse_ticks("30 2 * * *", berlin).after(datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert skipped == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "position", "word"),
    [
        ("", 1, "minute is missing"),
        ("* * *", 6, "month is missing"),
        ("* * * * * *", 11, "one too many"),
        ("61 * * * *", 1, "'61' is no minute"),
        ("15,45,60 * * * *", 7, "'60' is no minute"),
        ("15, * * * *", 4, "'' is no minute"),
        (",15 * * * *", 1, "'' is no minute"),
        ("*/0 * * * *", 1, "no minute"),
        ("5-1 * * * *", 1, "no minute"),
        ("٣ * * * *", 1, "no minute"),
        ("0 24 * * *", 3, "no hour"),
        ("0 0 0 * *", 5, "no day of the month"),
        ("0 0 1 13 *", 7, "no month"),
        ("15,45 * * * x", 13, "no day of the week"),
        ("0 0 * * 1#6", 9, "no day of the week"),
        ("0 0 30 2 *", 1, "never comes"),
        ("@often", 1, "@often is no schedule"),
        ("@daily x", 8, "nothing can follow"),
        ("@every", 7, "wants a duration"),
        ("@every soon", 8, "no duration"),
        ("@every 10ms", 8, "out of range"),
        ("@every 400d", 8, "out of range"),
        ("@every 1s 2", 11, "nothing can follow"),
        ("*," * 200, 200, "at most 200"),
    ],
)
def test_a_mistake_has_a_place(text: str, position: int, word: str) -> None:
    """The character is named, counted from 1, and what is wrong with it."""
    with pytest.raises(ScheduleError, match=word) as caught:
        parse_ticks(text, UTC)
    assert caught.value.position == position
    assert str(caught.value).startswith(f"character {position}: ")


@given(st.text(alphabet="0123456789*/-,#LW@ MONJAevry\n٣", max_size=30))
def test_whatever_is_written_is_a_schedule_or_refused(text: str) -> None:
    """Nothing else is raised, and a schedule moves forward."""
    position = 1
    try:
        ticks = parse_ticks(text, UTC)
    except ScheduleError as error:
        position = error.position
    else:
        assert ticks.until(NOW) <= NOW < ticks.after(NOW)
    assert 1 <= position <= len(text) + 1


@pytest.mark.parametrize("name", ["UTC", "utc", "Europe/Berlin"])
def test_time_zones_have_names(name: str) -> None:
    """Those of the IANA database."""
    assert parse_time_zone(name).utcoffset(NOW) is not None


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "Europe"])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    """Also one that is a path."""
    with pytest.raises(ValueError, match="is no time zone"):
        parse_time_zone(name)
