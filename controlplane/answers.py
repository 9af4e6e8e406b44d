"""The parts of a control plane that answer: a servicer for each service, and what they ask and keep."""

from dataclasses import dataclass
from functools import partial

from controlplane.analytics.keeper import Keeper
from controlplane.analytics.measures import PullMeasures, split_labels
from controlplane.analytics.recorder import Recorder
from controlplane.api import audit
from controlplane.api.artifact_source import Sources
from controlplane.api.artifacts import ArtifactServicer
from controlplane.api.audits import AuditServicer
from controlplane.api.authenticate import Authenticator
from controlplane.api.credential_check import CredentialCheck
from controlplane.api.credentials import CredentialServicer
from controlplane.api.customers import CustomerServicer
from controlplane.api.entitlements import EntitlementServicer
from controlplane.api.gate import Gate
from controlplane.api.node import NodeServicer
from controlplane.api.organizations import OrganizationServicer
from controlplane.api.port import Servicers
from controlplane.api.pulls import PullServicer
from controlplane.api.upstreams import Upstreams
from controlplane.api.users import UserServicer
from controlplane.api.uses import Uses
from controlplane.base import Base
from controlplane.catalog.referring import Referring
from controlplane.catalog.resolve import Resolver
from controlplane.config.watch import ConfigFeed
from controlplane.sync.runner import Syncs
from controlplane.syncing import Upstream
from controlplane.upstream.check import check


@dataclass(frozen=True, slots=True)
class Answers:
    """Who may ask what, and what answers, over gRPC and REST alike."""

    gate: Gate
    servicers: Servicers


async def start_answers(base: Base, upstream: Upstream, syncs: Syncs) -> Answers:
    """Begin to keep what answers are made of."""
    database, now, settings = base.database, base.now, base.settings
    resolver = Resolver(database, upstream.access, now=now)
    base.at_stop(resolver.stop)
    referring = Referring(database, upstream.access, now=now)
    base.at_stop(referring.stop)
    feed = ConfigFeed(database)
    await feed.start()
    base.at_stop(feed.stop)
    uses = Uses(database, base.registry, now)
    await uses.start()
    base.at_stop(uses.stop)
    authenticator = Authenticator(database, now)
    database.before_commit = audit.recorder(now)
    audits = AuditServicer(database, settings.audit_retention, now)
    await audits.start()
    base.at_stop(audits.stop)
    recorder = await _start_recorder(base)
    upstreams = Upstreams(partial(check, upstream.access), allow_private=settings.allow_private_upstreams)
    servicers = Servicers(
        audit=audits,
        organizations=OrganizationServicer(database, syncs, now),
        customers=CustomerServicer(database, now),
        users=UserServicer(database, now),
        entitlements=EntitlementServicer(database, upstream.access, now),
        credentials=CredentialServicer(
            database,
            upstream.keys,
            upstream.credentials,
            CredentialCheck(upstreams),
            syncs,
            now,
            allow_private=settings.allow_private_upstreams,
        ),
        artifacts=ArtifactServicer(database, syncs, Sources(database, upstreams, upstream.credentials), now),
        pulls=PullServicer(database, now),
        nodes=NodeServicer(
            database,
            feed,
            resolver,
            referring,
            upstream.access,
            recorder,
            uses,
            now,
            authenticator.forget_nodes,
        ),
    )
    return Answers(Gate(authenticator, uses, settings.proxies), servicers)


async def _start_recorder(base: Base) -> Recorder:
    """Make what stores pulls, and begin to delete those that are too old."""
    settings = base.settings
    labels = split_labels(settings.metrics_pull_labels)
    measures = PullMeasures(base.registry, labels, settings.metrics_pull_series)
    recorder = Recorder(base.database, measures, keep=settings.pull_retention, now=base.now)
    keeper = Keeper(
        base.database, events=settings.pull_retention, sums=settings.pull_sum_retention, now=base.now
    )
    await keeper.start()
    base.at_stop(keeper.stop)
    return recorder
