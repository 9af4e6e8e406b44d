"""Keeps a run that lost its lock from writing over what a newer one found."""

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.model.artifact_tables import Artifact


class LockLost(Exception):
    """A newer run over the artifact has begun."""


async def hold(session: AsyncSession, artifact: Artifact) -> None:
    """Keep newer runs from beginning until this transaction ends; raises LockLost where one has begun.

    `artifact` is as it was when the run was claimed.
    """
    found = await session.exec(
        select(Artifact.sync_fence).where(Artifact.id == artifact.id).with_for_update(key_share=True)
    )
    fence = found.first()
    if fence is not None and fence != artifact.sync_fence:
        raise LockLost
