"""Durations as people write them in settings and on command lines: `90s`, `10m`, `1h30m`, `30d`."""

import re
from datetime import timedelta

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
_WHOLE = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,6})?(?:ms|[dhms]))+", re.ASCII)
_PART = re.compile(r"([0-9.]+)(ms|[dhms])", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Parse numbers with units d, h, m, s, ms, longest first or not; raises ValueError with a sentence."""
    text = text.strip()
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no duration: give numbers with units, like 90s, 10m, 1h30m or 30d")
    parts = _PART.findall(text)
    units = [unit for _, unit in parts]
    if len(set(units)) != len(units):
        raise ValueError(f"{text!r} is no duration: it gives one unit twice")
    try:
        return timedelta(**{_UNITS[unit]: float(number) for number, unit in parts})
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None
