"""The composition root: builds the parts of the control plane, starts and stops them in order."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from clients.oci.transport import Transport
from clients.process.expiry import CertificateExpiry
from clients.process.listen import Address, bind
from clients.process.place import prepare
from clients.process.scraping import ScrapeToken
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
from controlplane.api.interceptor import Front
from controlplane.api.measures import CallMeasures
from controlplane.api.node import NodeServicer
from controlplane.api.organizations import OrganizationServicer
from controlplane.api.port import GrpcPort, Servicers
from controlplane.api.pulls import PullServicer
from controlplane.api.upstreams import Upstreams
from controlplane.api.users import UserServicer
from controlplane.api.uses import Uses
from controlplane.catalog.referring import Referring
from controlplane.catalog.resolve import Resolver
from controlplane.config.watch import ConfigFeed
from controlplane.model import bootstrap
from controlplane.model.database import Database
from controlplane.model.keys import Keys
from controlplane.settings import Settings
from controlplane.sync import redis_client
from controlplane.sync.hosts import Hosts
from controlplane.sync.instance import instance
from controlplane.sync.lease_rows import LeaseRows
from controlplane.sync.measures import LastSyncs, SyncMeasures
from controlplane.sync.redis_locks import RedisLocks
from controlplane.sync.runner import Syncs
from controlplane.sync.wakeups import Wakeups
from controlplane.upstream.access import UpstreamAccess
from controlplane.upstream.check import check
from controlplane.upstream.credentials import Credentials
from controlplane.upstream.ecr import Ecr
from controlplane.upstream.measures import UpstreamMeasures
from controlplane.upstream.rate_measures import RateMeasures
from controlplane.web.application import application
from controlplane.web.health import Readiness
from controlplane.web.metrics import new_registry
from controlplane.web.rest.routes import Routes
from controlplane.web.server import WebServer

_LOG = logging.getLogger(__name__)

_HTTP_SETTING: Final = "PENSTOCK_HTTP_LISTEN"
_DATABASE_FILE: Final = "controlplane.db"
_KEY_FILE: Final = "encryption-keys"


@dataclass(frozen=True, slots=True)
class Running:
    """A control plane that answers; the addresses are those that it got for port 0."""

    grpc: Address
    http: Address
    tls: bool
    # Only when the installation was started for the first time.
    new_admin_token: str | None


def utc_now() -> datetime:
    """Give the time of day."""
    return datetime.now(UTC)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Open the database that the settings name."""
    database = await Database.open(
        settings.database_url or f"sqlite:///{prepare(settings.data_dir) / _DATABASE_FILE}"
    )
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def running(settings: Settings, now: Callable[[], datetime] = utc_now) -> AsyncIterator[Running]:
    """Run a control plane while the block runs; then end calls that are under way, and stop.

    Raises ConfigurationError with a sentence where it cannot start as it is set up, and
    DatabaseUnavailable where the database server does not answer.
    """
    async with AsyncExitStack() as stack:
        directory = prepare(settings.data_dir)
        tls = settings.tls.served(grpc=True) if settings.tls else None
        grpc_port = GrpcPort(Address.parse(settings.grpc_listen, "PENSTOCK_GRPC_LISTEN"), tls)
        http_sockets = bind(
            Address.parse(settings.http_listen, "PENSTOCK_HTTP_LISTEN"), "PENSTOCK_HTTP_LISTEN"
        )
        for listener in http_sockets:
            stack.callback(listener.close)

        database = await stack.enter_async_context(opened(settings))
        new_admin_token = await bootstrap.prepare(database, directory, now())

        transport = await stack.enter_async_context(Transport(allow_private=settings.allow_private_upstreams))
        keys = Keys(
            settings.encryption_keys.get_secret_value(),
            settings.encryption_key_file or directory / _KEY_FILE,
        )
        credentials = Credentials(
            database, keys, Ecr(allow_private=settings.allow_private_upstreams), now=now
        )
        stack.push_async_callback(credentials.stop)
        access = UpstreamAccess(
            transport, allow_private=settings.allow_private_upstreams, credentials=credentials
        )
        registry = new_registry()
        locks = RedisLocks.at(settings.redis_url) if settings.redis_url else LeaseRows(database)
        stack.push_async_callback(locks.close)
        syncs = Syncs(
            database,
            access,
            locks=locks,
            wakeups=Wakeups(redis_client.client(settings.redis_url)) if settings.redis_url else None,
            schedule=settings.schedule,
            limits=settings.sync_limits,
            hosts=Hosts(
                transport.rates, parallel=settings.sync_requests_per_host, share=settings.sync_rate_share
            ),
            measures=SyncMeasures(registry),
            instance=stack.enter_context(instance(directory)),
            now=now,
        )
        # Before the start: a part of it may run when another part fails.
        stack.push_async_callback(syncs.stop)
        await syncs.start()
        resolver = Resolver(database, access, now=now)
        stack.push_async_callback(resolver.stop)
        referring = Referring(database, access, now=now)
        stack.push_async_callback(referring.stop)
        feed = ConfigFeed(database)
        await feed.start()
        stack.push_async_callback(feed.stop)

        uses = Uses(database, registry, now)
        await uses.start()
        stack.push_async_callback(uses.stop)
        authenticator = Authenticator(database, now)
        gate = Gate(authenticator, uses, settings.proxies)
        database.before_commit = audit.recorder(now)
        audits = AuditServicer(database, settings.audit_retention, now)
        await audits.start()
        stack.push_async_callback(audits.stop)
        upstreams = Upstreams(partial(check, access), allow_private=settings.allow_private_upstreams)
        recorder = Recorder(
            database,
            PullMeasures(registry, split_labels(settings.metrics_pull_labels), settings.metrics_pull_series),
            keep=settings.pull_retention,
            now=now,
        )
        keeper = Keeper(database, events=settings.pull_retention, sums=settings.pull_sum_retention, now=now)
        await keeper.start()
        stack.push_async_callback(keeper.stop)
        servicers = Servicers(
            audit=audits,
            organizations=OrganizationServicer(database, syncs, now),
            customers=CustomerServicer(database, now),
            users=UserServicer(database, now),
            entitlements=EntitlementServicer(database, access, now),
            credentials=CredentialServicer(
                database,
                keys,
                credentials,
                CredentialCheck(upstreams),
                syncs,
                now,
                allow_private=settings.allow_private_upstreams,
            ),
            artifacts=ArtifactServicer(database, syncs, Sources(database, upstreams, credentials), now),
            pulls=PullServicer(database, now),
            nodes=NodeServicer(
                database, feed, resolver, referring, access, recorder, uses, now, authenticator.forget_nodes
            ),
        )
        shown = {settings.tls.certificate: lambda: tls.known.chain} if settings.tls and tls else {}
        registry.register(CertificateExpiry("penstock_certificate_expiry_timestamp_seconds", shown))
        registry.register(RateMeasures(transport.rates))
        registry.register(UpstreamMeasures(transport.breakers, transport.outcomes, credentials.tokens))
        readiness = Readiness(database, syncs)

        http = WebServer(
            application(
                gate=gate,
                routes=Routes.of(servicers.by_service()),
                readiness=readiness,
                registry=registry,
                last_syncs=LastSyncs(database, registry),
                scrape_token=ScrapeToken(settings.metrics_token.get_secret_value()),
                certified=settings.controlplane_tls_client_ca is not None,
            ),
            tls,
        )
        http.start(http_sockets)
        stack.push_async_callback(http.stop)

        await grpc_port.start(servicers, Front(gate, CallMeasures(registry)))
        stack.push_async_callback(grpc_port.stop)

        stack.callback(_LOG.info, "The control plane stops.")
        stack.callback(readiness.stop)
        yield Running(
            grpc=grpc_port.address,
            http=Address(*http_sockets[0].getsockname()[:2]),
            tls=tls is not None,
            new_admin_token=new_admin_token,
        )
