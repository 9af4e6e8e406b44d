"""The composition root: builds the parts of the control plane, starts and stops them in order."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from tornado.httpserver import HTTPServer

from clients.oci.transport import Transport
from clients.process.listen import Address, bind
from clients.process.place import prepare
from controlplane.api.artifacts import ArtifactServicer
from controlplane.api.authenticate import Authenticator
from controlplane.api.gate import Gate
from controlplane.api.interceptor import Front
from controlplane.api.measures import CallMeasures
from controlplane.api.node import NodeServicer
from controlplane.api.organizations import OrganizationServicer
from controlplane.api.port import GrpcPort, Servicers
from controlplane.api.upstreams import Upstreams
from controlplane.api.users import UserServicer
from controlplane.catalog.resolve import Resolver
from controlplane.config.watch import ConfigFeed
from controlplane.model import bootstrap
from controlplane.model.database import Database
from controlplane.settings import Settings
from controlplane.sync.runner import Syncs
from controlplane.upstream.access import UpstreamAccess
from controlplane.upstream.check import check
from controlplane.web.application import MAX_BODY_BYTES, application
from controlplane.web.health import Readiness
from controlplane.web.metrics import new_registry

_LOG = logging.getLogger(__name__)

_HTTP_SETTING: Final = "PENSTOCK_HTTP_LISTEN"
_DATABASE_FILE: Final = "controlplane.db"


@dataclass(frozen=True, slots=True)
class Running:
    """A control plane that answers; the addresses are those that it got for port 0."""

    grpc: Address
    http: Address
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
        grpc_port = GrpcPort(Address.parse(settings.grpc_listen, "PENSTOCK_GRPC_LISTEN"))
        http_sockets = bind(
            Address.parse(settings.http_listen, "PENSTOCK_HTTP_LISTEN"), "PENSTOCK_HTTP_LISTEN"
        )
        for listener in http_sockets:
            stack.callback(listener.close)

        database = await stack.enter_async_context(opened(settings))
        new_admin_token = await bootstrap.prepare(database, directory, now())

        transport = await stack.enter_async_context(Transport(allow_private=settings.allow_private_upstreams))
        access = UpstreamAccess(transport, allow_private=settings.allow_private_upstreams)
        syncs = Syncs(database, access, timeout=settings.sync_timeout, now=now)
        await syncs.start()
        stack.push_async_callback(syncs.stop)
        resolver = Resolver(database, access, now=now)
        stack.push_async_callback(resolver.stop)
        feed = ConfigFeed(database)
        await feed.start()
        stack.push_async_callback(feed.stop)

        registry = new_registry()
        gate = Gate(Authenticator(database, now))
        upstreams = Upstreams(partial(check, access), allow_private=settings.allow_private_upstreams)
        artifacts = ArtifactServicer(database, syncs, upstreams, now)
        readiness = Readiness(database)

        http = HTTPServer(
            application(gate=gate, artifacts=artifacts, readiness=readiness, registry=registry),
            max_body_size=MAX_BODY_BYTES,
            idle_connection_timeout=75,
        )
        http.add_sockets(http_sockets)
        stack.push_async_callback(http.close_all_connections)
        stack.callback(http.stop)

        await grpc_port.start(
            Servicers(
                organizations=OrganizationServicer(database, now),
                users=UserServicer(database, now),
                artifacts=artifacts,
                nodes=NodeServicer(database, feed, resolver, access, now),
            ),
            Front(gate, CallMeasures(registry)),
        )
        stack.push_async_callback(grpc_port.stop)

        stack.callback(_LOG.info, "The control plane stops.")
        stack.callback(readiness.stop)
        yield Running(
            grpc=grpc_port.address,
            http=Address(*http_sockets[0].getsockname()[:2]),
            new_admin_token=new_admin_token,
        )
