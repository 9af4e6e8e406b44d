"""ExplainPull: step by step, why a pull is allowed or refused, and where it would be served from.

It decides nothing by itself: rules, roles and reach are asked of what nodes and NodeService decide with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.digest import Digest
from clients.oci.reference import parse_pulled
from clients.oci.tag_rule import TagRule
from controlplane.api import find
from controlplane.api.caller import caller
from controlplane.api.validation import Violations
from controlplane.catalog import held, reach
from controlplane.catalog.policy import SyncPolicy
from controlplane.model import tag_rules
from controlplane.model.access_tables import Entitlement, EntitlementGrant
from controlplane.model.artifact_tables import Artifact, Manifest
from controlplane.model.database import Database
from controlplane.model.naming import OrganizationName
from controlplane.model.roles import effective_role
from controlplane.model.saved import saved_id
from controlplane.model.tables import AccessToken, Node, Organization, Singleton, User
from controlplane.upstream.access import UpstreamAccess
from penstock.v1 import entitlement_pb2 as pb

# A node that was not heard of for longer is not counted on.
_FRESH: Final = timedelta(minutes=1)


@dataclass(slots=True)
class _Steps:
    """What was found so far."""

    found: list[pb.ExplainPullResponse.Step] = field(default_factory=list)

    def add(self, outcome: pb.ExplainPullResponse.Outcome.ValueType, check: str, finding: str) -> None:
        self.found.append(pb.ExplainPullResponse.Step(check=check, outcome=outcome, finding=finding))

    def passed(self, check: str, finding: str) -> None:
        self.add(pb.ExplainPullResponse.PASSED, check, finding)

    def refused(self, check: str, finding: str) -> None:
        self.add(pb.ExplainPullResponse.REFUSED, check, finding)

    def noted(self, check: str, finding: str) -> None:
        self.add(pb.ExplainPullResponse.NOTED, check, finding)

    def response(self) -> pb.ExplainPullResponse:
        allowed = all(step.outcome != pb.ExplainPullResponse.REFUSED for step in self.found)
        return pb.ExplainPullResponse(allowed=allowed, steps=self.found)


class Explain:
    """The part of EntitlementService that explains; `now` is the time of day in UTC."""

    def __init__(self, database: Database, upstreams: UpstreamAccess, now: Callable[[], datetime]) -> None:
        self._database = database
        self._upstreams = upstreams
        self._now = now

    async def ExplainPull(self, request: pb.ExplainPullRequest, _context: object) -> pb.ExplainPullResponse:
        """Answer ExplainPull."""
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            repository, reference = violations.check("reference", parse_pulled, request.reference) or ("", "")
            if not request.token_uid:
                violations.add("token_uid", "must be the uid of a token, as `tokens list` shows it.")
        steps = _Steps()
        async with self._database.read() as session:
            organization = await find.organization(session, parent)
            user = await self._token(session, steps, organization, request.token_uid)
            if user is None:
                return steps.response()
            slug, _, path = repository.partition("/")
            if slug != organization.slug:
                steps.refused(
                    "organization", f"{repository} is not of {parent}: for this token it does not exist."
                )
                return steps.response()
            restricted = user.customer_id is not None and organization.entitled_only
            _access(steps, organization, user)
            artifact = (
                await session.exec(
                    select(Artifact).where(Artifact.organization_id == organization.id, Artifact.path == path)
                )
            ).first()
            if artifact is None:
                steps.refused("artifact", f"There is no artifact {repository}.")
                return steps.response()
            steps.passed("artifact", f"{repository} comes from {artifact.upstream}.")
            rules: list[TagRule] = []
            if restricted:
                rules = await self._entitlements(session, steps, user, artifact)
            await _reference(session, steps, artifact, reference, rules if restricted else None)
            await self._nodes(session, steps)
        self._upstream(steps, artifact)
        return steps.response()

    async def _token(
        self, session: AsyncSession, steps: _Steps, organization: Organization, uid: str
    ) -> User | None:
        found = (
            await session.exec(
                select(AccessToken, User).where(AccessToken.uid == uid, AccessToken.user_id == User.id)
            )
        ).first()
        if found is None or found[1].organization_id not in (None, organization.id):
            steps.refused(
                "token", "There is no such token in this organization: it was revoked, or never was."
            )
            return None
        token, user = found
        owner = _named(user)
        if token.expire_time is not None and token.expire_time <= self._now():
            steps.refused("token", f"The token of {owner} expired at {_shown(token.expire_time)}.")
        else:
            until = f"until {_shown(token.expire_time)}" if token.expire_time else "without an end"
            steps.passed("token", f"The token of {owner} is good, {until}.")
        role = effective_role(user.role, token.role)
        steps.passed("role", f"Its role is {role}; every role may pull.")
        return user

    async def _entitlements(
        self, session: AsyncSession, steps: _Steps, user: User, artifact: Artifact
    ) -> list[TagRule]:
        rows = await session.exec(
            select(Entitlement, EntitlementGrant)
            .outerjoin(
                EntitlementGrant,
                (col(EntitlementGrant.entitlement_id) == Entitlement.id)
                & (col(EntitlementGrant.artifact_id) == artifact.id),
            )
            .where(Entitlement.customer_id == user.customer_id)
            .order_by(col(Entitlement.slug))
        )
        rules: list[TagRule] = []
        for row, grant in rows:
            if grant is None:
                steps.noted("entitlement", f"{row.slug} does not name this artifact.")
            elif row.expire_time is not None and row.expire_time <= self._now():
                steps.noted("entitlement", f"{row.slug} ended at {_shown(row.expire_time)}.")
            else:
                rule = tag_rules.rule(tag_rules.message(grant.rule))
                rules.append(rule)
                steps.passed("entitlement", f"{row.slug} allows {rule}.")
        if not rules:
            steps.refused("entitlement", "No entitlement of the customer is for this artifact now.")
        return rules

    async def _nodes(self, session: AsyncSession, steps: _Steps) -> None:
        current = (await session.exec(select(Singleton.config_revision))).one()
        fresh = self._now() - _FRESH
        nodes = (await session.exec(select(Node).order_by(col(Node.node_id)))).all()
        for node in nodes:
            since = node.last_seen_time
            if since is None or since < fresh:
                heard = f"was heard of last at {_shown(since)}" if since else "was never heard of"
                steps.noted("cache", f"Node {node.node_id} {heard}: it may decide by what it had then.")
            elif node.revision < current:
                steps.noted(
                    "cache", f"Node {node.node_id} runs revision {node.revision} of {current}: it follows."
                )
            else:
                steps.noted("cache", f"Node {node.node_id} runs the newest configuration.")

    def _upstream(self, steps: _Steps, artifact: Artifact) -> None:
        if artifact.last_sync_time is not None:
            steps.noted("upstream", f"The last sync that succeeded was at {_shown(artifact.last_sync_time)}.")
        if artifact.last_sync_error:
            steps.noted("upstream", f"The last sync failed: {artifact.last_sync_error}")
        for sentence in self._upstreams.trouble(artifact):
            steps.noted("upstream", sentence)


def _named(user: User) -> str:
    # Who runs the installation is nobody's business in an organization.
    return user.email if caller().may_see(user.organization_id) else "an administrator of the installation"


def _access(steps: _Steps, organization: Organization, user: User) -> None:
    if user.customer_id is None:
        steps.passed("organization", "The user is no customer's, and may pull all of it.")
    elif organization.entitled_only:
        steps.noted("organization", "The user is a customer's, and gets what that is entitled to.")
    else:
        steps.passed("organization", f"{organization.slug} shows its customers everything.")


async def _reference(
    session: AsyncSession,
    steps: _Steps,
    artifact: Artifact,
    reference: str | Digest,
    rules: list[TagRule] | None,
) -> None:
    key = saved_id(artifact)
    sync_only = SyncPolicy.of(artifact.sync_policy).sync_only
    if isinstance(reference, Digest):
        digest = str(reference)
        if rules is not None:
            tag = await reach.tag_of(session, key, digest, rules)
            if tag is None:
                steps.refused("digest", "No tag that the customer may pull leads to this digest now.")
            else:
                steps.passed("digest", f"The tag {tag}, which the customer may pull, leads to it.")
    else:
        if rules is not None:
            names = [name for rule in rules if (name := rule.named_by(reference)) is not None]
            if names:
                steps.passed("tag", f"{names[0]} names the tag {reference}.")
            else:
                steps.refused("tag", f"No rule of the entitlements names the tag {reference}.")
        digest = (await held.tag_digests(session, key, [reference])).get(reference, "")
        if not digest and sync_only:
            steps.refused("digest", f"The tag {reference} is not held, and the artifact is only synced.")
            return
        if not digest:
            steps.noted("digest", f"The tag {reference} is not held: the upstream would be asked for it.")
            return
        steps.passed("digest", f"The tag {reference} is {digest}.")
    found = await session.exec(
        select(func.count())
        .select_from(Manifest)
        .where(Manifest.artifact_id == artifact.id, Manifest.digest == digest)
    )
    if found.one():
        steps.noted("cache", "The control plane holds the manifest.")
    elif await reach.is_content(session, key, digest):
        steps.refused("digest", "It is a config's or layer's, as an image's id is, and no manifest's.")
    elif sync_only:
        steps.refused(
            "cache", "The control plane does not hold the manifest, and the artifact is only synced."
        )
    else:
        steps.noted("cache", "The control plane does not hold the manifest, and would ask the upstream.")


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
