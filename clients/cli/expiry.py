"""When something ends, as people write it: in how long, or at which time."""

from datetime import UTC, datetime

from clients.cli.failure import Failure
from clients.process.duration import parse_duration
from clients.process.exits import Exit


def parse_expiry(text: str, now: datetime) -> datetime:
    """Give the moment that `30d`, `2030-01-01` or `2030-01-01T12:00:00Z` stands for.

    A time without zone is UTC. Raises ValueError with a sentence, also for what is not after `now`.
    """
    moment = _at(text)
    if moment is None:
        try:
            moment = now + parse_duration(text)
        except OverflowError:
            raise ValueError(f"{text!r} is too far away.") from None
        except ValueError:
            raise ValueError(
                f"{text!r} is neither a duration, like 30d or 12h, nor a date, like 2030-01-01."
            ) from None
    if moment <= now:
        raise ValueError(f"{text!r} is not in the future.")
    return moment


def expiry_option(text: str) -> datetime:
    """Give the moment that `--expires` means; raises Failure."""
    try:
        return parse_expiry(text, datetime.now(UTC))
    except ValueError as error:
        raise Failure(f"--expires: {error}", Exit.USAGE) from error


def _at(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
