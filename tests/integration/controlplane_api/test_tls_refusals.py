"""What clients are told where TLS is not as they expect; gRPC itself says little of it."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from clients.control.client import ControlClient
from clients.control.diagnosis import diagnose
from clients.control.errors import Unreachable, translated
from clients.control.target import Target
from clients.control.trust import Trust
from clients.process.exits import ConfigurationError
from clients.process.listen import Address
from controlplane.settings import Settings
from penstock.v1.organization_pb2 import ListOrganizationsRequest
from tests.integration.controlplane_api.sealed import started
from tests.servers.certificates import Authority
from tests.servers.control_plane import Plane
from tests.servers.ports import free_ports

TOKEN = "pst_" + "x" * 36


async def test_whom_nobody_trusts(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of an unknown authority, of the system's and of a bundle; and one for another name."""
    async with started(settings, tmp_path, "penstock.example", "10.0.0.5") as sealed:
        others = Authority("Others").write(tmp_path / "others")
        for trust in (Trust(), Trust(others)):
            said = await sealed.ask(trust=trust)
            assert "signed by nobody who is trusted here" in said
            assert "CN=Private CA of the tests" in said
            assert "PENSTOCK_CA_FILE" in said
        said = await sealed.ask()
        assert "is not for 127.0.0.1 (it is for penstock.example, 10.0.0.5, valid until" in said
        assert "PENSTOCK_SERVER_NAME" in said
        # Trust in a certificate itself, by a name that it has: as `penstock up` does.
        assert await sealed.ask(trust=Trust(sealed.pair.certificate, "penstock.example")) == ""
        assert await sealed.ask(trust=Trust(sealed.pair.certificate, "10.0.0.5")) == ""
        monkeypatch.setenv("SSL_CERT_FILE", str(sealed.trust.ca_file))
        assert await sealed.ask(trust=Trust(server_name="penstock.example")) == ""


async def test_an_expired_certificate(settings: Settings, tmp_path: Path) -> None:
    """Says so, and since when."""
    async with started(settings, tmp_path, "127.0.0.1", expired=True) as sealed:
        said = await sealed.ask()
    assert "has expired (it is for 127.0.0.1, valid until 20" in said


async def test_one_side_in_clear(settings: Settings, tmp_path: Path, plane: Plane) -> None:
    """Each of the two is told what to set."""
    async with started(
        settings.model_copy(update={"data_dir": tmp_path / "other"}), tmp_path, "127.0.0.1"
    ) as sealed:
        said = await sealed.ask(Target(sealed.running.grpc), Trust())
        assert said == (
            f"The control plane at {sealed.running.grpc} speaks TLS only: set PENSTOCK_ADDRESS to"
            f" https://{sealed.running.grpc}."
        )
        said = await sealed.ask(Target(plane.running.grpc, tls=True))
        assert said.startswith(f"The control plane at {plane.running.grpc} does not speak TLS:")


async def test_who_hangs_up() -> None:
    """In the middle of a handshake, as what stands between may do."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        target = Target(Address(*server.sockets[0].getsockname()), tls=True)
        assert f"The TLS handshake with the control plane at {target} fails: " in await diagnose(
            target, Trust()
        )
        assert await diagnose(replace(target, tls=False), Trust()) == ""


async def test_nothing_to_say(plane: Plane) -> None:
    """Where nobody listens, and where all is well."""
    nowhere = Address("127.0.0.1", free_ports(1)[0])
    for tls in (True, False):
        assert await diagnose(Target(nowhere, tls=tls), Trust()) == ""
    assert await diagnose(Target(plane.running.grpc), Trust()) == ""
    assert await diagnose(Target(Address("host..invalid", 1)), Trust()) == ""


async def test_who_does_not_answer_gets_no_token() -> None:
    """Nothing is said in clear to a server that waits for TLS, or for whatever else."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # One connection is enough: gRPC would try for as long as it is let in.
        server.close()
        said = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                while chunk := await reader.read(4096):
                    said += chunk
        writer.close()
        await writer.wait_closed()
        heard.put_nowait(said)

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with ControlClient(where, TOKEN) as client:
        with pytest.raises(Unreachable), translated():
            await client.organizations.ListOrganizations(ListOrganizationsRequest())
    said = await heard.get()
    assert said
    assert TOKEN.encode() not in said


def test_settings_that_would_not_be_used(tmp_path: Path) -> None:
    """Who names certificates, and forgets to say https, would send the token in clear."""
    for trust in (Trust(tmp_path), Trust(server_name="x")):
        with pytest.raises(ConfigurationError, match=r"set it to https://127\.0\.0\.1:1"):
            ControlClient("127.0.0.1:1", TOKEN, trust)
    with pytest.raises(ConfigurationError, match=r"PENSTOCK_CA_FILE .*cannot be read"):
        ControlClient("https://127.0.0.1:1", TOKEN, Trust(tmp_path / "absent"))
