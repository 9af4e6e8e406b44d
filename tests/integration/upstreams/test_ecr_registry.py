"""`clients.oci` reads registries like ECR's: a password that ends is replaced, and nobody notices."""

from collections.abc import AsyncIterator, Iterator

import boto3
import pytest
from botocore.config import Config

from clients.oci.credential import Basic
from clients.oci.errors import CredentialRefused, PermissionMissing, UpstreamDenied
from clients.oci.registry import Registry
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream
from tests.fakes.ecr import FakeEcr
from tests.fakes.gates import EcrGate
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry

IMAGE = make_image(seed=4)


class Source:
    """A credential that AWS' own client gets; as a CredentialSource, it gets another when one is refused."""

    def __init__(self, ecr: FakeEcr) -> None:
        self._ecr = ecr
        self._held: Basic | None = None
        self.heard: list[str] = []

    async def get(self, *, refused: Basic | None = None) -> Basic | None:
        if self._held is None or self._held == refused:
            config = Config(retries={"max_attempts": 0}, ignore_configured_endpoint_urls=True)
            client = boto3.session.Session().client(
                "ecr",
                region_name="us-east-1",
                endpoint_url=self._ecr.url,
                aws_access_key_id=self._ecr.access_key_id,
                aws_secret_access_key=self._ecr.secret_access_key,
                config=config,
            )
            client.get_authorization_token()
            client.close()
            self._held = Basic("AWS", list(self._ecr.passwords)[-1])
        return self._held

    def accepted(self) -> None:
        self.heard.append("accepted")

    def rejected(self, error: CredentialRefused) -> None:
        self.heard.append(f"rejected: {error}")


@pytest.fixture
def ecr() -> Iterator[FakeEcr]:
    """The API of one account."""
    with FakeEcr() as ecr:
        yield ecr


@pytest.fixture
def gate(ecr: FakeEcr, fake: FakeRegistry) -> EcrGate:
    """The registry of the account."""
    fake.add(IMAGE, "team/app", ["1.0"])
    fake.gate = gate = EcrGate(ecr)
    return gate


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """Connections to this machine."""
    async with Transport(allow_private=True) as transport:
        yield transport


def client(transport: Transport, fake: FakeRegistry, source: Source) -> Registry:
    """A client of the account's repository."""
    return Registry(transport, Upstream.parse(f"{fake.host}/team/app", plain_http=True), source)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("ask", ["check", "head_manifest", "get_manifest"])
async def test_password_that_ended(
    transport: Transport, fake: FakeRegistry, ecr: FakeEcr, gate: EcrGate, status: int, ask: str
) -> None:
    """With 401 or with 403, in answer to GET or HEAD: a new one is got, once, and the request made again."""
    gate.expired_status = status
    source = Source(ecr)
    registry = client(transport, fake, source)
    await registry.get_manifest("1.0")
    ecr.expire()
    await (registry.check() if ask == "check" else getattr(registry, ask)("1.0"))
    assert len(ecr.calls) == 2
    assert set(source.heard) == {"accepted"}


async def test_permission_that_is_missing(
    transport: Transport, fake: FakeRegistry, ecr: FakeEcr, gate: EcrGate
) -> None:
    """It is named as IAM names it, and is no reason for another password."""
    gate.missing = "ecr:BatchGetImage"
    registry = client(transport, fake, Source(ecr))
    with pytest.raises(PermissionMissing, match="ecr:BatchGetImage") as caught:
        await registry.get_manifest("1.0")
    assert caught.value.permission == "ecr:BatchGetImage"
    with pytest.raises(UpstreamDenied):
        await registry.head_manifest("1.0")
    assert len(ecr.calls) == 1


async def test_password_that_is_never_taken(
    transport: Transport, fake: FakeRegistry, ecr: FakeEcr, gate: EcrGate
) -> None:
    """Where a new one does not help either, that is the end."""
    ecr.lifetime = -1
    gate.expired_status = 401
    source = Source(ecr)
    with pytest.raises(CredentialRefused):
        await client(transport, fake, source).get_manifest("1.0")
    assert len(ecr.calls) == 2
    assert source.heard
    assert source.heard[-1].startswith("rejected")
