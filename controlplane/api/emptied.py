"""Artifacts that are emptied before they go or move, and filled again where that does not come about."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from controlplane.api.caller import caller
from controlplane.api.errors import ApiError
from controlplane.catalog.clearing import Take
from controlplane.catalog.unknown import Unknown
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import DatabaseUnavailable
from controlplane.model.saved import saved_id
from controlplane.sync.runner import Syncs
from penstock.v1 import artifact_pb2

_LOG = logging.getLogger(__name__)

_SENTENCE: Final = (
    "What the artifact held was dropped by then: a sync that brings it back has been asked for."
)


@asynccontextmanager
async def emptied(
    syncs: Syncs, artifact: Artifact, empty: Callable[[Take], Awaitable[None]]
) -> AsyncIterator[None]:
    """Empty an artifact for the change in the block, with no run over it; where either fails, say so.

    The sync that brings back what was dropped waits by then, unless nothing was dropped.
    """
    async with syncs.emptying(caller().email) as emptying:
        try:
            await empty(emptying.take)
            yield
        except BaseException as error:
            trigger = artifact_pb2.SyncJob.UPSTREAM_CHANGE
            with suppress(Unknown, DatabaseUnavailable):
                await syncs.request(saved_id(artifact), trigger, caller().email)
                _LOG.warning("%s was emptied for a change that failed: it is synced.", artifact.upstream)
                if isinstance(error, ApiError):
                    raise error.adding(_SENTENCE) from error
            raise
