"""The tables' rows, as the configuration that nodes run."""

from datetime import datetime
from operator import itemgetter
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.model.roles import effective_role
from controlplane.model.tables import AccessToken, Artifact, Organization, Singleton, User
from penstock.v1 import config_pb2, user_pb2

# Rows begin with it; comparing whole rows would take longer than all the rest.
_UID: Final = itemgetter(0)


async def build(session: AsyncSession) -> config_pb2.Configuration:
    """Build the configuration that this transaction sees, each list in the order of its uids.

    The same rows always give an equal message. The transaction must see one moment's state
    (`Database.read`): otherwise an artifact could come without its organization.
    """
    slugs = await _slugs(session)
    return config_pb2.Configuration(
        revision=(await session.exec(select(Singleton.config_revision))).one(),
        organizations=[
            config_pb2.OrganizationConfig(uid=uid, organization_id=slug)
            for uid, slug in sorted(slugs.values())
        ],
        artifacts=await _artifacts(session, slugs),
        tokens=await _tokens(session, slugs),
    )


async def _slugs(session: AsyncSession) -> dict[int | None, tuple[str, str]]:
    """Give uid and slug of each organization, by its internal id."""
    rows = await session.exec(select(Organization.id, Organization.uid, Organization.slug))
    return {key: (uid, slug) for key, uid, slug in rows}


async def _artifacts(
    session: AsyncSession, slugs: dict[int | None, tuple[str, str]]
) -> list[config_pb2.ArtifactConfig]:
    rows = await session.exec(
        select(Artifact.uid, Artifact.organization_id, Artifact.path, Artifact.content_revision)
    )
    return [
        config_pb2.ArtifactConfig(
            uid=uid,
            organization_uid=slugs[organization][0],
            repository=f"{slugs[organization][1]}/{path}",
            content_revision=content_revision,
        )
        for uid, organization, path, content_revision in sorted(rows, key=_UID)
    ]


async def _tokens(
    session: AsyncSession, slugs: dict[int | None, tuple[str, str]]
) -> list[config_pb2.TokenConfig]:
    # Columns and not whole rows, here and above: ten times quicker, and there may be many. Expired
    # tokens are in it as well: the configuration depends on the rows alone, not on a clock.
    expiries = await session.exec(
        select(AccessToken.uid, AccessToken.expire_time).where(col(AccessToken.expire_time).is_not(None))
    )
    ends = {uid: _timestamp(expire_time) for uid, expire_time in expiries}
    users = await session.exec(select(User.id, User.uid, User.organization_id, User.role))
    owners = {key: (uid, organization, role) for key, uid, organization, role in users}
    tokens = await session.exec(
        select(AccessToken.uid, AccessToken.sha256, AccessToken.user_id, AccessToken.role)
    )
    configs = []
    for uid, sha256, user_id, role in sorted(tokens, key=_UID):
        user_uid, organization, user_role = owners[user_id]
        configs.append(
            config_pb2.TokenConfig(
                uid=uid,
                sha256=sha256,
                organization_uid="" if organization is None else slugs[organization][0],
                user_uid=user_uid,
                role=user_pb2.Role.ValueType(effective_role(user_role, role)),
                expire_time=ends.get(uid),
            )
        )
    return configs


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
