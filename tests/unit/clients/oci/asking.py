"""What tests ask a registry for."""

from yarl import URL

from clients.oci.registry import Registry
from clients.oci.request import Request
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry

IMAGE = make_image()


def client(transport: Transport, upstream: FakeRegistry, repository: str) -> Registry:
    """A client of a repository of the fake."""
    return Registry(transport, Upstream.parse(f"{upstream.host}/{repository}", plain_http=True))


def ping(registry: FakeRegistry, **fields: object) -> Request:
    """A request for `/v2/`."""
    return Request(host=registry.host, url=URL(f"{registry.base_url}/v2/"), **fields)  # type: ignore[arg-type] # a dict of them
