"""When something is, as people write it: at which time, in how long, or how long ago."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from clients.cli.failure import Failure
from clients.process.duration import parse_duration
from clients.process.exits import Exit

NEVER: Final = "never"
"""What `--expires` takes for something that does not end."""


def parse_expiry(text: str, now: datetime) -> datetime:
    """Give the moment that `30d`, `2030-01-01` or `2030-01-01T12:00:00Z` stands for.

    A time without zone is UTC. Raises ValueError with a sentence, also for what is not after `now`.
    """
    try:
        moment = _moment(text, now.__add__)
    except OverflowError:
        raise ValueError(f"{text!r} is too far away.") from None
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a duration, like 30d or 12h, nor a date, like 2030-01-01."
        ) from None
    if moment <= now:
        raise ValueError(f"{text!r} is not in the future.")
    return moment


def expiry_option(text: str) -> datetime | None:
    """Give the moment that `--expires` means, None for `never`; raises Failure."""
    if text == NEVER:
        return None
    try:
        return parse_expiry(text, datetime.now(UTC))
    except ValueError as error:
        raise Failure(f"--expires: {error}", Exit.USAGE) from error


def past_option(text: str, now: datetime, option: str) -> datetime:
    """Give the moment that `--from 7d` or `--to 2030-01-31` means, without zone in UTC; raises Failure."""
    try:
        return _moment(text, now.__sub__)
    except (ValueError, OverflowError):
        raise Failure(
            f"{option} is {text!r}: give a date, like 2030-01-31, a time, like 2030-01-31T12:00:00Z, or"
            " how long ago, like 7d.",
            Exit.USAGE,
        ) from None


def _moment(text: str, distant: Callable[[timedelta], datetime]) -> datetime:
    """Read a time, or a duration that says how distant it is; raises ValueError and OverflowError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return distant(parse_duration(text))
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
