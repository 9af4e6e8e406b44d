"""A server that cannot prove who it is gets nothing, and what begins with TLS does not leave it."""

import shutil
import subprocess
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext, create_default_context

import pytest
from yarl import URL

from clients.oci.errors import UpstreamInvalid, UpstreamUnavailable
from clients.oci.request import Request
from clients.oci.transport import Transport
from tests.fakes.registry import FakeRegistry
from tests.unit.clients.oci.asking import ping


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody but itself vouches for, with its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate of this test")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    key = path.with_suffix(".key")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += [
        "-subj",
        "/CN=test",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(path),
    ]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


async def test_a_certificate_that_is_not_trusted(transport: Transport, certificate: Path) -> None:
    """Nothing is sent to a server that cannot prove who it is, and the reason is said."""
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with FakeRegistry(ssl_context=context) as upstream:
        with pytest.raises(UpstreamUnavailable, match=r"over TLS: self-signed certificate\."):
            await transport.fetch(ping(upstream), limit=100)
        assert upstream.requests == []


async def test_redirects_do_not_leave_tls(certificate: Path, upstream: FakeRegistry) -> None:
    """An upstream with TLS that sends its readers to one without is not followed; the other way is."""
    server = SSLContext(PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    client = create_default_context(cafile=str(certificate))
    async with (
        FakeRegistry(ssl_context=server) as secure,
        Transport(allow_private=True, ssl_context=client) as transport,
    ):
        secure.faults.add("version", redirect=upstream.base_url, times=1)
        with pytest.raises(UpstreamInvalid, match="leaves TLS"):
            await transport.fetch(ping(secure), limit=100)
        assert upstream.requests == []
        upstream.faults.add("version", redirect=secure.base_url)
        assert (await transport.fetch(ping(upstream), limit=100)).status == 200


async def test_a_server_without_tls_where_it_is_expected(
    transport: Transport, upstream: FakeRegistry
) -> None:
    """The usual mistake with a registry of one's own is told with what to do about it."""
    request = Request(host=upstream.host, url=URL(f"https://{upstream.host}/v2/"))
    with pytest.raises(UpstreamUnavailable, match=r"over TLS: .*without TLS, .* with --plain-http\.$"):
        await transport.fetch(request, limit=100)


async def test_what_it_leads_to_without_tls_is_not_the_artifact_s(
    transport: Transport, upstream: FakeRegistry
) -> None:
    """Storage or a token service that speaks no TLS is no reason to ask the registry itself without."""
    request = Request(host="registry.example", url=URL(f"https://{upstream.host}/v2/"))
    with pytest.raises(UpstreamUnavailable, match="over TLS") as raised:
        await transport.fetch(request, limit=100)
    assert "--plain-http" not in str(raised.value)
