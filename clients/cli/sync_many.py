"""Syncs of many artifacts by one command."""

import sys
from collections.abc import AsyncIterator, Sequence
from typing import Final

from clients.cli.failure import Failure
from clients.cli.output import Field, show_list
from clients.cli.progress import check, state, summary
from clients.cli.session import Session
from clients.control import names
from clients.control.client import ControlClient
from clients.control.errors import NotFound, translated
from clients.control.follow import follow
from clients.control.names import ArtifactPath
from penstock.v1.artifact_pb2 import SyncArtifactsRequest, SyncJob

# Many jobs take longer to write than one.
_TIMEOUT: Final = 120.0


async def sync_many(
    session: Session,
    organization: str,
    selector: str,
    fields: Sequence[Field[SyncJob]],
    *,
    force_removals: bool,
    wait: bool,
) -> None:
    """Start the syncs of an organization's artifacts that the selector selects, and list them.

    With `wait`, tells of each that ends on standard error, and raises Failure unless all succeeded.
    """
    request = SyncArtifactsRequest(
        parent=names.organization(organization), label_selector=selector, force_removals=force_removals
    )
    async with session.control() as control:
        with translated():
            answer = await control.artifacts.SyncArtifacts(request, timeout=_TIMEOUT)
        jobs = list(answer.sync_jobs)
        if wait:
            jobs = [await _ended(control, job, f"{n} of {len(jobs)}") for n, job in enumerate(jobs, 1)]
    await show_list(_each(jobs), (_ARTIFACT, *fields), session.output)
    if not jobs:
        which = f"artifact with the labels {selector}" if selector else "artifact"
        print(f"Nothing is synced: {names.last(request.parent)} has no {which}.", file=sys.stderr)
    if wait:
        _check(jobs)


async def _ended(control: ControlClient, job: SyncJob, count: str) -> SyncJob:
    """Follow one after the other: they go on at the same time all the same.

    One that is not there any more, as its artifact was deleted, is given as one that failed.
    """
    try:
        async for seen in follow(control.artifacts, job.name):
            job = seen
    except NotFound as error:
        job = SyncJob(name=job.name, state=SyncJob.FAILED, error=str(error))
    print(f"sync of {_title(job)}: {state(job)} ({summary(job)}), {count}", file=sys.stderr, flush=True)
    return job


def _check(jobs: Sequence[SyncJob]) -> None:
    lines: list[str] = []
    failed = 0
    for job in jobs:
        try:
            check(job, _title(job))
        except Failure as error:
            failed += 1
            lines += [str(error), *(f"  {line}" for line in error.lines)]
    if failed:
        raise Failure(f"{failed} of {len(jobs)} syncs did not succeed:", lines=tuple(lines))


async def _each(jobs: Sequence[SyncJob]) -> AsyncIterator[SyncJob]:
    for job in jobs:
        yield job


def _title(job: SyncJob) -> str:
    return str(ArtifactPath.parse(job.name.partition("/syncJobs/")[0]))


_ARTIFACT: Final[Field[SyncJob]] = Field("artifact", _title)
