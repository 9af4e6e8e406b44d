"""Private certificate authorities: trusted for the upstream that names them, and for nobody else's sake."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.oci.blob import BlobAccess, open_blob
from clients.oci.breaker import State
from clients.oci.credential import Basic
from clients.oci.errors import UntrustedTls, UpstreamPaused
from clients.oci.registry import Registry
from clients.oci.transport import Transport
from clients.oci.trust import InvalidCertificates, check_certificates
from clients.oci.upstream import Upstream
from tests.fakes.images import make_image
from tests.fakes.internet import Internet
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import TokenService
from tests.servers.certificates import Authority

IMAGE = make_image()


@pytest.fixture
def authority() -> Authority:
    """One that nobody knows."""
    return Authority()


@pytest.fixture
async def private(authority: Authority, tmp_path: Path) -> AsyncIterator[FakeRegistry]:
    """A registry with a certificate of it."""
    tls = authority.issue(tmp_path, "127.0.0.1").server_context()
    async with FakeRegistry(ssl_context=tls) as registry:
        registry.add(IMAGE, "team/app", ["1.0"])
        yield registry


def client(
    transport: Transport, registry: FakeRegistry, pem: str, credential: Basic | None = None
) -> Registry:
    """A client that goes by a bundle."""
    upstream = Upstream.parse(f"{registry.host}/team/app")
    return Registry(transport, upstream, credential, ca_certificates=pem)


async def test_its_own_bundle_opens_it(
    transport: Transport, private: FakeRegistry, authority: Authority
) -> None:
    """And another upstream's, on the same connection pool, does not."""
    await client(transport, private, authority.pem).check()
    for pem in ("", Authority("Another").pem):
        with pytest.raises(UntrustedTls, match="certificate"):
            await client(transport, private, pem).check()
    await client(transport, private, authority.pem).check()


async def test_a_bundle_that_is_wrong_says_nothing_of_the_upstream(
    transport: Transport, private: FakeRegistry, authority: Authority
) -> None:
    """However often it fails, those with the right one go on; without any, it is the upstream that fails."""
    for pem, states in ((Authority("Another").pem, {}), ("", {private.base_url: State.OPEN})):
        for _ in range(10):
            with pytest.raises((UntrustedTls, UpstreamPaused)):
                await client(transport, private, pem).check()
        assert transport.breakers.states() == states
        if pem:
            await client(transport, private, authority.pem).check()


async def test_tokens_are_got_under_the_same_bundle(
    transport: Transport, private: FakeRegistry, authority: Authority
) -> None:
    """The token service of a private registry is private as well."""
    private.tokens = TokenService()
    registry = client(transport, private, authority.pem, Basic("alice", "secret"))
    assert (await registry.get_manifest("1.0")).digest == IMAGE.digest
    assert len(private.tokens.issued) == 1


async def test_a_bundle_that_does_not_vouch_fails_nobody_else(
    transport: Transport, authority: Authority, private: FakeRegistry, tmp_path: Path
) -> None:
    """Of two artifacts that want the same token at once, each gets it by its own certificates, or not."""
    another = Authority("Another")
    tls = another.issue(tmp_path, "127.0.0.1").server_context()
    async with FakeRegistry(ssl_context=tls) as desk:
        private.tokens = desk.tokens = TokenService(realm=f"{desk.base_url}/token")
        half, whole = authority.pem, authority.pem + another.pem
        alice = Basic("alice", "secret")
        failed, tags = await asyncio.gather(
            *(client(transport, private, pem, alice).check() for pem in (half, whole)), return_exceptions=True
        )
    assert isinstance(failed, UntrustedTls)
    assert tags == ["1.0"]


@pytest.mark.parametrize("name", ["auth.vendor.example", "registry.vendor.example"])
async def test_a_token_service_elsewhere_may_be_a_public_one(
    name: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's certificates vouch for it as well, but not for the registry's own host."""
    public = Authority("Public")
    known = tmp_path / "system.pem"
    known.write_text(public.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(known))
    internet = Internet(monkeypatch)
    at = internet.address("registry.vendor.example")
    elsewhere = internet.address("auth.vendor.example") if name.startswith("auth") else at
    private = authority.issue(tmp_path, "registry.vendor.example").server_context()
    async with (
        FakeRegistry(host=at, ssl_context=private) as registry,
        FakeRegistry(host=elsewhere, ssl_context=public.issue(tmp_path, name).server_context()) as desk,
        Transport() as transport,
    ):
        registry.add(IMAGE, "team/app", ["1.0"])
        port = desk.host.rpartition(":")[2]
        registry.tokens = desk.tokens = TokenService(realm=f"https://{name}:{port}/token")
        upstream = Upstream.parse(f"registry.vendor.example:{registry.host.rpartition(':')[2]}/team/app")
        asked = Registry(transport, upstream, ca_certificates=authority.pem).check()
        if name.startswith("auth"):
            assert await asked == ["1.0"]
        else:
            with pytest.raises(UntrustedTls):
                await asked


async def test_blobs_are_fetched_under_the_bundle_of_the_access(
    transport: Transport, private: FakeRegistry, authority: Authority
) -> None:
    """As a node does with what it was handed; a redirect to storage of the same authority is followed."""
    layer = IMAGE.layers[0]
    for pem, good in ((authority.pem, True), ("", False)):
        access = BlobAccess(private.base_url, "team/app", "", allow_private=True, ca_certificates=pem)
        if not good:
            with pytest.raises(UntrustedTls):
                async with open_blob(transport, access, layer.digest):
                    pass
            continue
        async with open_blob(transport, access, layer.digest) as stream:
            assert len(b"".join([chunk async for chunk in stream.chunks()])) == layer.size


async def test_another_name_is_not_vouched_for(
    transport: Transport, authority: Authority, tmp_path: Path
) -> None:
    """Who trusts an authority still wants the right name."""
    tls = authority.issue(tmp_path, "other.example").server_context()
    async with FakeRegistry(ssl_context=tls) as registry:
        registry.add(IMAGE, "team/app", ["1.0"])
        with pytest.raises(UntrustedTls):
            await client(transport, registry, authority.pem).check()


def test_a_bundle_may_have_several(authority: Authority) -> None:
    """Blanks around it are dropped; without any, the system's count."""
    both = f"\n{authority.pem}\n{Authority('Another').pem}\n"
    assert check_certificates(both) == both.strip()
    assert check_certificates(" \n") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "no bundle of certificates"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "no bundle of certificates"),
        ("é", "no bundle of certificates"),
        ("-----BEGIN EC PRIVATE KEY-----", "private key"),
        ("x" * 300_000, "longer than"),
    ],
)
def test_what_is_no_bundle_is_refused(text: str, words: str) -> None:
    """With what to give instead, and without repeating it."""
    with pytest.raises(InvalidCertificates, match=words):
        check_certificates(text)
