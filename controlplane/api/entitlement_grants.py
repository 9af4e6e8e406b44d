"""Grants of entitlements: from a request, checked, to rows, and back to messages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from clients.oci.pattern import TagPattern
from clients.oci.tag_rule import LIMIT
from clients.oci.version import VersionRange
from controlplane.api import find
from controlplane.api.find import FoundEntitlement, unknown_artifact
from controlplane.api.validation import Violations
from controlplane.catalog.held import BATCH
from controlplane.model import tag_rules
from controlplane.model.access_tables import EntitlementGrant
from controlplane.model.artifact_tables import Artifact
from controlplane.model.locks import Hold, lock
from controlplane.model.naming import ArtifactName
from controlplane.model.saved import saved_id
from controlplane.model.tables import Organization
from penstock.v1 import entitlement_pb2 as pb

_MOST: Final = 100

Grants = Mapping[ArtifactName, pb.TagRule]


def check(given: Iterable[pb.Entitlement.Grant], organization: str, violations: Violations) -> Grants:
    """Read the grants of an entitlement of this organization."""
    grants: dict[ArtifactName, pb.TagRule] = {}
    for number, grant in enumerate(given):
        field = f"entitlement.grants[{number}]"
        name = violations.check(f"{field}.artifact", ArtifactName.parse, grant.artifact)
        _check_rule(grant.tags, f"{field}.tags", violations)
        if name is None:
            continue
        if name.organization != organization:
            violations.add(f"{field}.artifact", f"must be an artifact of organizations/{organization}.")
        if name in grants:
            violations.add(f"{field}.artifact", "is there twice: give each artifact once, with one rule.")
        grants[name] = grant.tags
    if not 1 <= len(grants) <= _MOST:
        violations.add("entitlement.grants", f"must name 1 to {_MOST} artifacts.")
    return grants


def _check_rule(rule: pb.TagRule, field: str, violations: Violations) -> None:
    parts = len(rule.patterns) + len(rule.version_ranges)
    if rule.all_tags == bool(parts):
        violations.add(field, "must have `all_tags`, or at least one of `patterns` and `version_ranges`.")
    for name, texts in (("patterns", rule.patterns), ("version_ranges", rule.version_ranges)):
        if len(texts) > LIMIT:
            violations.add(f"{field}.{name}", f"must be at most {LIMIT}.")
    for number, text in enumerate(rule.patterns[:LIMIT]):
        violations.check(f"{field}.patterns[{number}]", TagPattern.parse, text)
    for number, text in enumerate(rule.version_ranges[:LIMIT]):
        violations.check(f"{field}.version_ranges[{number}]", VersionRange.parse, text)


async def keep_artifacts(session: AsyncSession, organization: str, grants: Grants) -> None:
    """Have those artifacts of grants that are there stay until the transaction ends.

    Its organization as well. To be called before a customer or an entitlement is locked.
    """
    await find.keep_organization(session, organization)
    owner = select(Organization.id).where(Organization.slug == organization)
    await lock(
        session,
        col(Artifact.id),
        Hold.STAYS,
        col(Artifact.organization_id).in_(owner),
        col(Artifact.path).in_([name.path for name in grants]),
    )


async def save(session: AsyncSession, found: FoundEntitlement, grants: Grants) -> None:
    """Let an entitlement have these grants and no others; raises ApiError for an unknown artifact.

    To be called after `keep_artifacts`.
    """
    artifacts = await session.exec(
        select(Artifact.path, Artifact.id).where(
            Artifact.organization_id == found.organization.id,
            col(Artifact.path).in_([name.path for name in grants]),
        )
    )
    ids = {path: key for path, key in artifacts if key is not None}
    for name in grants:
        if name.path not in ids:
            raise unknown_artifact(name)
    key = saved_id(found.row)
    await session.exec(delete(EntitlementGrant).where(col(EntitlementGrant.entitlement_id) == key))
    session.add_all(
        EntitlementGrant(entitlement_id=key, artifact_id=ids[name.path], rule=tag_rules.written(rule))
        for name, rule in grants.items()
    )
    await session.flush()


def naming(organization: Organization, artifact: ArtifactName) -> SelectOfScalar[int]:
    """Select the ids of entitlements with a grant for an artifact of the organization, if it has this one."""
    return select(EntitlementGrant.entitlement_id).where(
        EntitlementGrant.artifact_id == Artifact.id,
        Artifact.organization_id == organization.id,
        Artifact.path == artifact.path,
        organization.slug == artifact.organization,
    )


async def messages(
    session: AsyncSession, organization: Organization, entitlements: Sequence[int]
) -> dict[int, list[pb.Entitlement.Grant]]:
    """Give the grants of each of these entitlements, by the artifacts' names."""
    found: dict[int, list[pb.Entitlement.Grant]] = {key: [] for key in entitlements}
    for start in range(0, len(entitlements), BATCH):
        batch = entitlements[start : start + BATCH]
        rows = await session.exec(
            select(EntitlementGrant.entitlement_id, EntitlementGrant.rule, Artifact.path)
            .where(
                col(EntitlementGrant.entitlement_id).in_(batch),
                EntitlementGrant.artifact_id == Artifact.id,
            )
            .order_by(col(Artifact.path))
        )
        for key, rule, path in rows:
            found[key].append(
                pb.Entitlement.Grant(
                    artifact=str(ArtifactName(organization.slug, path)), tags=tag_rules.message(rule)
                )
            )
    return found
