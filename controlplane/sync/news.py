"""Wakes who watches a sync job, when something of that job was written."""

from collections.abc import Iterator
from contextlib import contextmanager

from controlplane.model.signal import ChangeSignal


class JobNews:
    """A signal for each job that is watched, by its uid.

    With one for all of them, what fifty runs write would have fifty watchers look, each time. It tells of
    what this process writes.
    """

    def __init__(self) -> None:
        # With how many watch the job.
        self._watched: dict[str, tuple[ChangeSignal, int]] = {}

    @contextmanager
    def of(self, job_uid: str) -> Iterator[ChangeSignal]:
        """Give the signal of a job, for as long as somebody watches it."""
        signal, count = self._watched.get(job_uid) or (ChangeSignal(), 0)
        self._watched[job_uid] = (signal, count + 1)
        try:
            yield signal
        finally:
            _, count = self._watched.pop(job_uid)
            if count > 1:
                self._watched[job_uid] = (signal, count - 1)

    def send(self, job_uid: str) -> None:
        """Wake who watches a job."""
        if watched := self._watched.get(job_uid):
            watched[0].send()

    def send_all(self) -> None:
        """Wake who watches any."""
        for signal, _ in self._watched.values():
            signal.send()
