"""Follows a sync job to its end, over broken connections and restarts of the control plane."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import grpc

from clients.control.errors import Unavailable, translated
from penstock.v1.artifact_pb2 import SyncJob, WatchSyncJobRequest
from penstock.v1.artifact_pb2_grpc import ArtifactServiceStub

_ENDED: Final = frozenset((SyncJob.SUCCEEDED, SyncJob.PARTIAL, SyncJob.FAILED))

_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each further try after the stream broke; half a minute in all."""


def ended(job: SyncJob) -> bool:
    """Whether nothing of this job will change any more."""
    return job.state in _ENDED


async def follow(
    artifacts: ArtifactServiceStub,
    name: str,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[SyncJob]:
    """Give the job whenever it changed, last when it has ended.

    A stream that breaks is opened again, with pauses; raises ControlError when that does not help, or
    where the server refuses.
    """
    pauses = iter(_PAUSES)
    while True:
        try:
            with translated():
                async for job in artifacts.WatchSyncJob(WatchSyncJobRequest(name=name)):
                    pauses = iter(_PAUSES)
                    yield job
                    if ended(job):
                        return
        except Unavailable as error:
            broken = error
        else:
            # A server that drains closes its streams.
            broken = Unavailable(
                "The control plane stopped telling of the sync.", grpc.StatusCode.UNAVAILABLE
            )
        pause = next(pauses, None)
        if pause is None:
            raise broken
        await sleep(pause)
