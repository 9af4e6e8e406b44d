"""Shows how far a sync is, on standard error: a bar at a terminal, a few lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from clients.cli.failure import Failure
from clients.control.client import ControlClient
from clients.control.follow import follow
from penstock.v1.artifact_pb2 import SyncJob

_STEP = 10
"""Per cent between two lines where there is no terminal."""


class Show(Protocol):
    """Takes the job whenever it has changed."""

    def __call__(self, job: SyncJob) -> None:
        """Show it."""


async def wait(control: ControlClient, job: str, title: str) -> SyncJob:
    """Follow the job of this name to its end, showing progress, and give it as it ended.

    `title` is what is being synced. Raises ControlError.
    """
    ended = SyncJob(name=job)
    with shown(title, sys.stderr) as show:
        async for ended in follow(control.artifacts, job):
            show(ended)
    return ended


def check(job: SyncJob, title: str) -> None:
    """Raise Failure, with the tags that failed, unless the ended job succeeded."""
    if job.state == SyncJob.SUCCEEDED:
        return
    lines = [f"{error.tag}: {error.reason}" for error in job.tag_errors]
    untold = job.tags_failed - len(lines)
    if lines and untold > 0:
        lines.append(f"and {untold} more")
    if job.state == SyncJob.PARTIAL and not job.tags_failed:
        sentence = f"The sync of {title} is not complete: {job.error}"
    elif job.state == SyncJob.PARTIAL:
        sentence = f"The sync of {title} left out {_tags(job.tags_failed)} of {job.tags_total}:"
    else:
        sentence = f"The sync of {title} failed: {job.error or 'the control plane gave no reason.'}"
    raise Failure(sentence, lines=tuple(lines))


def summary(job: SyncJob) -> str:
    """Give what came of the tags, in words: `12 tags: 3 new, 9 unchanged`."""
    counts = (
        (job.tags_new, "new"),
        (job.tags_moved, "moved"),
        (job.tags_unchanged, "unchanged"),
        (job.tags_removed, "removed"),
        (job.tags_missing, "missing upstream"),
        (job.tags_skipped, "skipped"),
        (job.tags_failed, "failed"),
    )
    told = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"{_tags(job.tags_total)}: {told}" if told else _tags(job.tags_total)


def requests_summary(job: SyncJob) -> str:
    """Give what was asked of the upstream: `1 tag pages, 9 manifest heads`."""
    return ", ".join(f"{count} {field.name.replace('_', ' ')}" for field, count in job.requests.ListFields())


def state(job: SyncJob) -> str:
    """Give the job's state as people write it: `running`."""
    return SyncJob.State.Name(job.state).lower()


@contextmanager
def shown(title: str, stream: TextIO) -> Iterator[Show]:
    """Give what shows a job on this stream until the block ends."""
    if stream.isatty():
        with _bar(title, stream) as show:
            yield show
    else:
        yield _lines(title, stream)


@contextmanager
def _bar(title: str, stream: TextIO) -> Iterator[Show]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=stream)) as progress:
        task = progress.add_task(title, total=None, note="")

        def show(job: SyncJob) -> None:
            # No total yet makes the bar pulse: the upstream's list of tags is still being read.
            total = job.tags_total or None
            note = summary(job) if job.state == SyncJob.SUCCEEDED else state(job)
            progress.update(task, total=total, completed=job.tags_done, note=note)

        yield show


def _lines(title: str, stream: TextIO) -> Show:
    told_state = SyncJob.STATE_UNSPECIFIED
    told_step = 0

    def show(job: SyncJob) -> None:
        nonlocal told_state, told_step
        step = 100 * job.tags_done // job.tags_total // _STEP if job.tags_total else 0
        if job.state != told_state:
            detail = f" ({summary(job)})" if job.state == SyncJob.SUCCEEDED else ""
            print(f"sync of {title}: {state(job)}{detail}", file=stream, flush=True)
        elif step > told_step:
            print(f"sync of {title}: {job.tags_done} of {_tags(job.tags_total)}", file=stream, flush=True)
        told_state, told_step = job.state, step

    return show


def _tags(count: int) -> str:
    return f"{count} tag" if count == 1 else f"{count} tags"
