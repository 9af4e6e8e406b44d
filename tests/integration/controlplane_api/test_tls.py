"""Both ports of a control plane with a certificate, and clients that show one."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.process import replaced
from clients.process.exits import ConfigurationError
from controlplane.server import running
from controlplane.settings import Settings
from penstock.v1.node_pb2 import CreateNodeRequest, WatchConfigRequest
from penstock.v1.organization_pb2 import CreateOrganizationRequest
from tests.integration.controlplane_api.sealed import Sealed, answered, der, started
from tests.servers.certificates import Authority


@pytest.fixture
async def sealed(settings: Settings, tmp_path: Path) -> AsyncIterator[Sealed]:
    """A control plane with a certificate for the address that it listens on."""
    async with started(settings, tmp_path, "127.0.0.1") as found:
        yield found


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at whenever something is wanted of them."""
    monkeypatch.setattr(replaced, "_LOOK", 0.0)


async def test_both_ports(sealed: Sealed) -> None:
    """The API by gRPC and by REST, health and metrics; and nothing in clear."""
    assert await sealed.ask() == ""
    context = sealed.authority.client_context()
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await sealed.get(path, context)).status == 200
    token = {"Authorization": f"Bearer {sealed.token}"}
    assert (await sealed.get("/api/v1/organizations", context, **token)).status == 200
    with pytest.raises(ConnectionError):
        await sealed.get("/readyz", None)


@pytest.mark.usefixtures("_at_once")
async def test_a_renewed_certificate(sealed: Sealed, tmp_path: Path) -> None:
    """New connections to both ports get it; the others go on; clients notice nothing."""
    async with sealed.client() as client:
        assert await answered(client) == ""
        assert await sealed.shown() == [der(sealed.pair)] * 2
        renewed = sealed.authority.issue(tmp_path / "renewed", "127.0.0.1")
        sealed.replace(renewed)
        assert await sealed.shown() == [der(renewed)] * 2
        assert await answered(client) == ""
    assert await sealed.ask() == ""


@pytest.mark.usefixtures("_at_once")
async def test_when_a_certificate_ends(sealed: Sealed, tmp_path: Path) -> None:
    """Metrics say it of the one that is shown, not of the file."""

    async def until() -> float:
        text = (await sealed.get("/metrics", sealed.authority.client_context())).body.decode()
        (line,) = re.findall(r"^penstock_certificate_expiry_timestamp_seconds{.*", text, re.MULTILINE)
        assert f'file="{sealed.pair.certificate}"' in line
        return float(line.rpartition(" ")[2])

    tomorrow = await until()
    assert 0 < tomorrow - time.time() < 2 * 86400
    sealed.pair.certificate.write_text("nonsense")
    assert await until() == tomorrow


@pytest.mark.usefixtures("_at_once")
async def test_a_renewal_that_fails(sealed: Sealed, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half of one, or nonsense: what there was is shown, and that is said, without the key."""
    before = der(sealed.pair)
    other = sealed.authority.issue(tmp_path / "other", "127.0.0.1")
    with caplog.at_level(logging.ERROR):
        sealed.pair.certificate.write_bytes(other.certificate.read_bytes())
        assert await sealed.shown() == [before] * 2
    assert "PENSTOCK_CONTROLPLANE_TLS_CERTIFICATE" in caplog.text
    assert "PRIVATE" not in caplog.text
    sealed.pair.key.write_bytes(other.key.read_bytes())
    assert await sealed.shown() == [der(other)] * 2


async def test_a_certificate_that_cannot_be_used(settings: Settings, tmp_path: Path) -> None:
    """It ends the start, with the setting's name."""
    pair = Authority().issue(tmp_path, "127.0.0.1")
    named = {"controlplane_tls_certificate": pair.certificate, "controlplane_tls_key": tmp_path / "absent"}
    with pytest.raises(ConfigurationError, match="PENSTOCK_CONTROLPLANE_TLS_KEY"):
        async with running(settings.model_copy(update=named)):
            pass


@pytest.fixture
async def wanting(settings: Settings, tmp_path: Path) -> AsyncIterator[tuple[Sealed, Authority]]:
    """A control plane that wants certificates of its clients, and who signs them."""
    clients = Authority("Clients")
    authority = clients.write(tmp_path / "clients")
    async with started(settings, tmp_path, "127.0.0.1", controlplane_tls_client_ca=authority) as found:
        yield found, clients


async def test_clients_that_show_a_certificate(wanting: tuple[Sealed, Authority]) -> None:
    """Are heard by gRPC and by REST, as whom their token says; who shows none is not; health is for all."""
    sealed, clients = wanting
    assert await sealed.ask(trust=sealed.own(clients)) == ""
    assert "ends connections after the handshake" in await sealed.ask()
    context = sealed.authority.client_context()
    token = {"Authorization": f"Bearer {sealed.token}"}
    refused = await sealed.get("/api/v1/organizations", context, **token)
    assert (refused.status, refused.json()["details"][0]["reason"]) == (403, "CLIENT_CERTIFICATE_REQUIRED")
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await sealed.get(path, context)).status == 200
    mine = clients.issue(sealed.directory / "rest", "client")
    context.load_cert_chain(mine.certificate, mine.key)
    assert (await sealed.get("/api/v1/organizations", context, **token)).status == 200
    assert (await sealed.get("/api/v1/organizations", context)).status == 401


@pytest.mark.parametrize("expired", [False, True])
async def test_clients_whose_certificate_is_no_good(wanting: tuple[Sealed, Authority], expired: bool) -> None:
    """Signed by somebody else, or expired: refused, and the client is told which certificate it showed."""
    sealed, clients = wanting
    said = await sealed.ask(trust=sealed.own(clients if expired else Authority("Nobody"), expired=expired))
    assert "does not take the certificate in PENSTOCK_CLIENT_CERTIFICATE" in said
    assert "CN=Clients" in said if expired else "CN=Nobody" in said


@pytest.mark.usefixtures("_at_once")
async def test_another_authority_for_clients(wanting: tuple[Sealed, Authority], tmp_path: Path) -> None:
    """First beside the old one, then alone: what the old one signed is let in to neither port any more."""
    sealed, clients = wanting
    others = Authority("Others")
    trusted = tmp_path / "clients" / "ca.pem"
    token = {"Authorization": f"Bearer {sealed.token}"}

    async def answers(signer: Authority) -> tuple[bool, bool]:
        """Whether each port hears who shows a certificate of theirs."""
        by_grpc = await sealed.ask(trust=sealed.own(signer)) == ""
        context = sealed.authority.client_context()
        context.load_cert_chain(
            sealed.directory / "mine" / "client.crt", sealed.directory / "mine" / "client.key"
        )
        try:
            answer = await sealed.get("/api/v1/organizations", context, **token)
        except OSError:
            return by_grpc, False
        return by_grpc, answer.status == 200

    trusted.write_text(clients.pem + others.pem)
    assert [await answers(clients), await answers(others)] == [(True, True)] * 2
    trusted.write_text(others.pem)
    assert [await answers(clients), await answers(others)] == [(False, False), (True, True)]


@pytest.mark.usefixtures("_at_once")
async def test_a_client_whose_certificate_is_renewed(wanting: tuple[Sealed, Authority]) -> None:
    """It shows the new one when it connects again; a stream that is open goes on."""
    sealed, clients = wanting
    trust = sealed.own(clients)
    async with sealed.client(trust=trust) as root:
        created = await root.nodes.CreateNode(CreateNodeRequest(node_id="one"))
        sealed.token = created.secret
        async with sealed.client(trust=trust) as node:
            stream = node.nodes.WatchConfig(WatchConfigRequest())
            assert (await stream.read()).HasField("snapshot")
            # As a certificate that has expired meanwhile would be refused.
            sealed.own(Authority("Nobody"))
            assert "does not take" in await answered(node)
            sealed.own(clients)
            assert await answered(node) == ""
            async with asyncio.timeout(10):
                await root.organizations.CreateOrganization(CreateOrganizationRequest(organization_id="acme"))
                assert (await stream.read()).HasField("change")
            stream.cancel()
