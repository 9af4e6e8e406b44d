"""One run of a job that this process claimed: within its time, under its lock, to the job's end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.errors import UpstreamError
from controlplane.catalog.store import ArtifactChanged
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.sync import fence, jobs, recovery
from controlplane.sync.ended import RunEnded
from controlplane.sync.fence import LockLost
from controlplane.sync.hosts import Hosts
from controlplane.sync.locks import Lease
from controlplane.sync.run import Run
from controlplane.sync.writer import Writer
from controlplane.upstream.access import UpstreamAccess
from penstock.v1 import artifact_pb2

_LOG = logging.getLogger(__name__)

# Seconds between attempts to write how a job ended, while the database does not answer.
_WRITE_AGAIN: Final = 1.0
_NO_DATABASE: Final = "The control plane's database did not answer while this ran."
_BROKEN: Final = "The sync broke off on an error of Penstock itself, which is in the control plane's log."

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that this process runs, with its artifact as it was claimed, and the lock on that."""

    job: SyncJob
    artifact: Artifact
    lease: Lease


class Execution:
    """A run of sync. `written` is called whenever something of the job was written."""

    def __init__(
        self,
        claimed: Claimed,
        database: Database,
        access: UpstreamAccess,
        *,
        hosts: Hosts,
        timeout: float,
        now: Callable[[], datetime],
        written: Callable[[], None],
    ) -> None:
        self.claimed = claimed
        self._database = database
        self._access = access
        self._hosts = hosts
        self._timeout = timeout
        self._now = now
        self._written = written
        # Ends the run early; None while it does not ask the upstream.
        self._limit: asyncio.Timeout | None = None
        self._ended_early = False

    def end_early(self) -> None:
        """End the run soon: its lock is lost, or its job was ended by somebody else."""
        self._ended_early = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def execute(self) -> int | None:
        """Run, and write how it ended; gives the state, or None where it was not for this run to say."""
        artifact, job = self.claimed.artifact, self.claimed.job
        writer = Writer(
            self._database,
            artifact,
            saved_id(job),
            now=self._now,
            written=self._written,
            guard=partial(fence.hold, artifact=artifact),
        )
        problem = await self._run(writer)
        if self._ended_early:
            await self._in_transaction(self._give_up)
            self._written()
            return None
        tally = writer.tally
        state, error = tally.verdict(problem)
        ended = await self._in_transaction(
            lambda session: jobs.finish(session, job, artifact, state, error, tally, self._now())
        )
        self._written()
        if not ended:
            return None
        _LOG.log(
            logging.INFO if state == artifact_pb2.SyncJob.SUCCEEDED else logging.WARNING,
            "Sync of %s ended %s: %d tags, %d new, %d moved, %d failed, %d manifests fetched. %s",
            artifact.upstream,
            artifact_pb2.SyncJob.State.Name(state),
            tally.tags_total,
            tally.tags_new,
            tally.tags_moved,
            tally.tags_failed,
            tally.manifests_fetched,
            error,
        )
        return int(state)

    async def _run(self, writer: Writer) -> str:
        """Run over the artifact and write what was learned; gives why it ended early, or nothing."""
        artifact = self.claimed.artifact
        problem = ""
        try:
            async with asyncio.timeout(self._timeout) as self._limit:
                registry = self._access.registry(artifact)
                await Run(
                    self._database, registry, artifact, writer, hosts=self._hosts, seconds=self._timeout
                ).execute()
        except TimeoutError:
            problem = (
                f"The sync did not end within {self._timeout:g} seconds:"
                " give it more with REGISTRY_UPSTREAM_SYNC_TIMEOUT, or look why the upstream is slow."
            )
        except (UpstreamError, RunEnded) as error:
            problem = str(error)
        except ArtifactChanged:
            return jobs.UPSTREAM_CHANGED
        except LockLost:
            self._ended_early = True
        except DatabaseUnavailable:
            problem = _NO_DATABASE
        except Exception:  # noqa: BLE001 - whatever it is, the job must not stay a running one
            _LOG.exception("The sync of %s broke off.", artifact.upstream)
            problem = _BROKEN
        finally:
            self._limit = None
        if self._ended_early:
            return problem
        try:
            await _patiently(writer.flush)
        except ArtifactChanged:
            return jobs.UPSTREAM_CHANGED
        except LockLost:
            self._ended_early = True
        except Exception:  # noqa: BLE001 - as above; what cannot be written is fetched again by the next run
            _LOG.exception("What the sync of %s learned last could not be written.", artifact.upstream)
            problem = _BROKEN
        return problem

    async def _give_up(self, session: AsyncSession) -> None:
        await recovery.give_up(session, [self.claimed.lease.token], recovery.LOST, self._now())

    async def _in_transaction(self, change: Callable[[AsyncSession], Awaitable[_Result]]) -> _Result:
        async def write() -> _Result:
            async with self._database.write() as session:
                return await change(session)

        return await _patiently(write)


async def _patiently(write: Callable[[], Awaitable[_Result]]) -> _Result:
    """Write as soon as the database answers: how a job ended must not be lost."""
    while True:
        try:
            return await write()
        except DatabaseUnavailable as error:
            _LOG.warning("A sync job waits to be written: %s", error)
            await asyncio.sleep(_WRITE_AGAIN)
