"""A transport that may reach the fakes of this machine, and waits for nothing."""

from collections.abc import AsyncIterator

import pytest

from clients.oci.registry import Registry
from clients.oci.retry import Retry
from clients.oci.transport import Timeouts, Transport
from tests.fakes.clock import Clock, Pauses
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import TokenService
from tests.unit.clients.oci.asking import IMAGE, client


@pytest.fixture
def pauses() -> Pauses:
    """The pauses that the transport made."""
    return Pauses()


@pytest.fixture
def clock() -> Clock:
    """The transport's clock."""
    return Clock()


@pytest.fixture
async def transport(pauses: Pauses, clock: Clock) -> AsyncIterator[Transport]:
    """A transport with short time-outs, and pauses that are as long as they may be."""
    retry = Retry(draw=lambda: 1.0)
    timeouts = Timeouts(connect=5, idle=5, total=10)
    async with Transport(
        allow_private=True, timeouts=timeouts, retry=retry, sleep=pauses.sleep, clock=clock, now=clock
    ) as transport:
        yield transport


@pytest.fixture
async def upstream() -> AsyncIterator[FakeRegistry]:
    """The registry that is read from."""
    async with FakeRegistry() as registry:
        yield registry


@pytest.fixture
async def elsewhere() -> AsyncIterator[FakeRegistry]:
    """Another origin, such as the storage that a registry redirects to."""
    async with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def service(upstream: FakeRegistry, clock: Clock) -> TokenService:
    """The token service of the registry, which now wants tokens."""
    upstream.add(IMAGE, "team/app", ["1.0"])
    upstream.add(IMAGE, "team/other", ["1.0"])
    upstream.tokens = TokenService(clock=clock)
    return upstream.tokens


@pytest.fixture
def registry(transport: Transport, upstream: FakeRegistry, service: TokenService) -> Registry:
    """A client of one repository of it."""
    return client(transport, upstream, "team/app")
