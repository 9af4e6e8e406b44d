"""What bounds the syncs of one process."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds in time and number.

    `lease`: a run that is not heard of for so long counts as lost. `retention`: jobs that ended longer ago
    are deleted, but for the last one of each artifact. `tag_history`: what a tag stood for until longer ago
    is forgotten.
    """

    timeout: timedelta = timedelta(minutes=10)
    lease: timedelta = timedelta(seconds=20)
    retention: timedelta = timedelta(days=7)
    tag_history: timedelta = timedelta(days=365)
    parallel: int = 8
    parallel_per_host: int = 4
