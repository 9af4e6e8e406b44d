"""The composition root: builds the parts of the control plane, starts and stops them in order."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry
from tornado.web import Application

from clients.process.expiry import CertificateExpiry
from clients.process.listen import Address, bind
from clients.process.place import prepare
from clients.process.replaced import Replaced
from clients.process.scraping import ScrapeToken
from clients.process.tls import Identity
from controlplane.answers import Answers, start_answers
from controlplane.api.interceptor import Front
from controlplane.api.measures import CallMeasures
from controlplane.api.port import GrpcPort
from controlplane.base import Base
from controlplane.model import bootstrap
from controlplane.model.database import Database
from controlplane.settings import Settings
from controlplane.sync.measures import LastSyncs
from controlplane.syncing import Upstream, start_syncs, start_upstream
from controlplane.upstream.measures import UpstreamMeasures
from controlplane.upstream.rate_measures import RateMeasures
from controlplane.web.application import application
from controlplane.web.health import Readiness
from controlplane.web.metrics import new_registry
from controlplane.web.rest.routes import Routes
from controlplane.web.server import WebServer

_LOG = logging.getLogger(__name__)

_DATABASE_FILE: Final = "controlplane.db"


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

        base = Base(stack, settings, directory, database, new_registry(), now)
        upstream = await start_upstream(base)
        syncs = await start_syncs(base, upstream)
        answers = await start_answers(base, upstream, syncs)
        _register(base.registry, upstream, settings, tls)
        readiness = Readiness(database, syncs)

        http = WebServer(_application(base, answers, readiness), tls)
        http.start(http_sockets)
        stack.push_async_callback(http.stop)

        await grpc_port.start(answers.servicers, Front(answers.gate, CallMeasures(base.registry)))
        stack.push_async_callback(grpc_port.stop)

        stack.callback(_LOG.info, "The control plane stops.")
        stack.callback(readiness.stop)
        yield Running(
            grpc=grpc_port.address,
            http=Address(*http_sockets[0].getsockname()[:2]),
            tls=tls is not None,
            new_admin_token=new_admin_token,
        )


def _register(
    registry: CollectorRegistry, upstream: Upstream, settings: Settings, tls: Replaced[Identity] | None
) -> None:
    """Have metrics tell of what is asked only when they are."""
    shown = {settings.tls.certificate: lambda: tls.known.chain} if settings.tls and tls else {}
    registry.register(CertificateExpiry("penstock_certificate_expiry_timestamp_seconds", shown))
    registry.register(RateMeasures(upstream.transport.rates))
    transport = upstream.transport
    registry.register(UpstreamMeasures(transport.breakers, transport.outcomes, upstream.credentials.tokens))


def _application(base: Base, answers: Answers, readiness: Readiness) -> Application:
    """Make what answers on the HTTP port."""
    return application(
        gate=answers.gate,
        routes=Routes.of(answers.servicers.by_service()),
        readiness=readiness,
        registry=base.registry,
        last_syncs=LastSyncs(base.database, base.registry),
        scrape_token=ScrapeToken(base.settings.metrics_token.get_secret_value()),
        certified=base.settings.controlplane_tls_client_ca is not None,
    )
