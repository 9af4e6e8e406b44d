"""Reads schedules: five cron fields, names like `@hourly`, and `@every 90s`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from clients.process.duration import parse_duration

_NAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY: Final = "@every"
_SHORTEST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(days=366)
# More would be a text that was made to be slow.
_LENGTH: Final = 200
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    # What it may hold, for people.
    range: str


_FIELDS: Final = (
    _Field("minute", "0-59"),
    _Field("hour", "0-23"),
    _Field("day of the month", "1-31, L for the last day"),
    _Field("month", "1-12 or JAN-DEC"),
    _Field("day of the week", "0-7 or SUN-SAT"),
)


class ScheduleError(ValueError):
    """A text that is no schedule; `str()` is a sentence that says which character is wrong, from 1."""

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(f"character {position}: {problem}")
        self.position = position


def parse_time_zone(name: str) -> tzinfo:
    """Give a time zone by its name, like `Europe/Berlin`; raises ValueError with a sentence."""
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone: give a name like UTC or Europe/Berlin") from error


class Ticks(Protocol):
    """The moments of a schedule, in UTC."""

    def after(self, moment: datetime) -> datetime:
        """Give the first one after a moment."""

    def until(self, moment: datetime) -> datetime:
        """Give the last one that is not after a moment."""


@dataclass(frozen=True, slots=True)
class _Cron:
    expression: str
    zone: tzinfo

    def after(self, moment: datetime) -> datetime:
        return next(CronSim(self.expression, moment.astimezone(self.zone))).astimezone(UTC)

    def until(self, moment: datetime) -> datetime:
        # The library begins a second before what it is given, and leaves out parts of seconds.
        start = (moment + timedelta(seconds=1)).replace(microsecond=0).astimezone(self.zone)
        return next(CronSim(self.expression, start, reverse=True)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class _Every:
    """Multiples since 1970, so that every replica has the same ones."""

    length: timedelta

    def after(self, moment: datetime) -> datetime:
        return self.until(moment) + self.length

    def until(self, moment: datetime) -> datetime:
        return _EPOCH + (moment - _EPOCH) // self.length * self.length


@lru_cache(maxsize=10_000)
def parse_ticks(text: str, zone: tzinfo) -> Ticks:
    """Read a schedule, whose hours are those of `zone`. Raises ScheduleError."""
    if len(text) > _LENGTH:
        raise ScheduleError(_LENGTH, f"a schedule has at most {_LENGTH} characters.")
    words = [(match.start() + 1, match[0]) for match in re.finditer(r"\S+", text)]
    if words and words[0][1].startswith("@"):
        return _named(words, zone)
    _check_fields(words, len(text) + 1)
    return _cron(" ".join(word for _, word in words), words[0][0], zone)


def _named(words: list[tuple[int, str]], zone: tzinfo) -> Ticks:
    position, name = words[0]
    if name == _EVERY:
        return _every(words)
    if name not in _NAMES:
        known = ", ".join([*_NAMES, f"{_EVERY} 90s"])
        raise ScheduleError(position, f"{name} is no schedule; there are {known}.")
    if len(words) > 1:
        raise ScheduleError(words[1][0], f"nothing can follow {name}.")
    return _cron(_NAMES[name], position, zone)


def _every(words: list[tuple[int, str]]) -> Ticks:
    position, name = words[0]
    if len(words) == 1:
        raise ScheduleError(position + len(name), f"{name} wants a duration, like `{name} 90s`.")
    if len(words) > 2:
        raise ScheduleError(words[2][0], f"nothing can follow the duration of {name}.")
    position, text = words[1]
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise ScheduleError(position, f"{error}.") from error
    if not _SHORTEST <= length <= _LONGEST:
        raise ScheduleError(position, f"{text} is out of range: from 1s to 366d.")
    return _Every(length)


def _check_fields(words: list[tuple[int, str]], end: int) -> None:
    if len(words) < len(_FIELDS):
        missing = _FIELDS[len(words)]
        raise ScheduleError(
            end,
            f"the {missing.name} is missing; a schedule has five fields, like `15,45 * * * *`,"
            " or is a name like @hourly.",
        )
    if len(words) > len(_FIELDS):
        raise ScheduleError(words[len(_FIELDS)][0], "a schedule has five fields; this is one too many.")
    for index, (position, word) in enumerate(words):
        # Term by term, to say where in a list the mistake is.
        for term in re.finditer(r"[^,]*(?:,|$)", word):
            text = term[0].removesuffix(",")
            if (not text and term.start() == len(word) and not word.endswith(",")) or _is_good(index, text):
                continue
            field = _FIELDS[index]
            raise ScheduleError(
                position + term.start(), f"{text!r} is no {field.name} ({field.range}; `*`, `a-b`, `*/n`)."
            )


def _is_good(index: int, term: str) -> bool:
    fields = ["*"] * len(_FIELDS)
    fields[index] = term
    try:
        # Whether a day is in a month is not a question of one field.
        CronSim(" ".join(fields), _EPOCH)
    except (CronSimError, AssertionError):
        return False
    return bool(term)


def _cron(expression: str, position: int, zone: tzinfo) -> Ticks:
    ticks = _Cron(expression, zone)
    try:
        ticks.after(_EPOCH)
    except (CronSimError, StopIteration) as error:
        raise ScheduleError(position, f"`{expression}` never comes: no such month has such a day.") from error
    return ticks
