"""When the schedule syncs an artifact: the ticks of its cron expression, spread over artifacts."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from hashlib import sha256
from typing import Final

from controlplane.model.artifact_tables import Artifact
from controlplane.sync.cron import parse_ticks

_LONGEST_SPREAD: Final = timedelta(minutes=10)
_SHARE: Final = 2


@dataclass(frozen=True, slots=True)
class Schedule:
    """The installation's schedule, and the time zone of all schedules.

    `expression` is five cron fields, a name like `@hourly`, or `@every` and a duration; empty for none.
    """

    expression: str
    zone: tzinfo

    def __post_init__(self) -> None:
        """Raise ScheduleError where the expression is none."""
        if self.expression:
            parse_ticks(self.expression, self.zone)

    def plan(self, artifact: Artifact, now: datetime) -> None:
        """Set at the artifact when it is synced next, and by what that was reckoned.

        To be done whenever it is created, or its schedule is changed or paused.
        """
        artifact.next_sync_time = self.following(artifact.uid, self.expression_of(artifact), now)
        artifact.planned_by = self.plan_of(artifact)

    def expression_of(self, artifact: Artifact) -> str:
        """Give the expression that the artifact follows; empty where it is only synced by hand."""
        return "" if artifact.sync_paused else artifact.sync_schedule or self.expression

    def plan_of(self, artifact: Artifact) -> str:
        """Give what `planned_by` says of an artifact whose next sync was reckoned by this schedule."""
        expression = self.expression_of(artifact)
        return f"{expression} {self.zone}" if expression else ""

    def following(self, uid: str, expression: str, after: datetime) -> datetime | None:
        """Give the first moment after `after` at which the artifact of this uid is to be synced.

        That is a tick and the artifact's own part of the spread: artifacts of one schedule begin
        evenly over half of the time until the next tick, and over ten minutes at most.
        """
        if not expression:
            return None
        ticks = parse_ticks(expression, self.zone)
        tick = ticks.until(after)
        while True:
            following = ticks.after(tick)
            start = tick + min((following - tick) / _SHARE, _LONGEST_SPREAD) * _part(uid)
            if start > after:
                return start
            tick = following


def _part(uid: str) -> float:
    """Give a number from 0 to 1 that is always the same for one uid."""
    return int.from_bytes(sha256(uid.encode()).digest()[:8], "big") / 2**64
