"""Both planes and the command over TLS, each a process of its own."""

import shlex
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.process.exits import Exit
from tests.servers import http
from tests.servers.certificates import Authority, KeyPair
from tests.servers.command import run
from tests.servers.go_clients import Grpcurl
from tests.servers.penstock import PROGRAM, Penstock
from tests.servers.process import Process


def settings(pair: KeyPair) -> dict[str, str]:
    """What a control plane shows."""
    return {
        "CONTROLPLANE_TLS_CERTIFICATE": str(pair.certificate),
        "CONTROLPLANE_TLS_KEY": str(pair.key),
    }


def wait(condition: Callable[[], bool], what: str) -> None:
    """For what takes a second or two."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Who signs what control planes show."""
    return Authority()


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Penstock]:
    """A control plane with a certificate, which wants certificates of its clients, and a node."""
    directory = tmp_path_factory.mktemp("apart")
    pair = authority.issue(directory / "served", "127.0.0.1")
    clients = Authority("Clients")
    own = clients.issue(directory / "own", "client")
    penstock = Penstock(
        directory / "penstock",
        together=False,
        settings={
            **settings(pair),
            "CONTROLPLANE_TLS_CLIENT_CA": str(clients.write(directory / "clients")),
            "CA_FILE": str(authority.write(directory / "trusted")),
            "CLIENT_CERTIFICATE": str(own.certificate),
            "CLIENT_KEY": str(own.key),
            "WORKERS": "1",
        },
        tls=authority.client_context(),
    )
    try:
        yield penstock.start()
    finally:
        penstock.stop()


def test_a_node_and_the_command(apart: Penstock, authority: Authority, tmp_path: Path) -> None:
    """They call by TLS, with certificates of their own, and go on when the control plane's is renewed."""
    # Whom a node lets in it has heard from the control plane.
    apart.wait_served("/v2/", apart.admin_token)

    renewed = authority.issue(tmp_path / "renewed", "127.0.0.1")
    wanted = renewed.certificate.read_text()
    before = ssl.get_server_certificate(_pair(apart.http))
    assert before != wanted
    for name, new in (("CERTIFICATE", renewed.certificate), ("KEY", renewed.key)):
        old = Path(apart.env[f"PENSTOCK_CONTROLPLANE_TLS_{name}"])
        shutil.copy(new, old.with_suffix(".new"))
        old.with_suffix(".new").replace(old)
    wait(lambda: ssl.get_server_certificate(_pair(apart.http)) == wanted, "the renewed certificate is shown")
    assert apart.json("organizations", "list") == []

    refused = run(
        PROGRAM, "organizations", "list", env=_env(apart, CLIENT_CERTIFICATE="", CLIENT_KEY=""), ok=False
    )
    assert refused.code == Exit.UNAVAILABLE
    assert "set PENSTOCK_CLIENT_CERTIFICATE and PENSTOCK_CLIENT_KEY" in refused.err
    logs = "".join(process.log.read_text() for process in apart.planes.values())
    assert "PRIVATE KEY" not in logs
    assert "ssl_transport_security" not in logs + refused.err


@pytest.mark.real
def test_grpcurl(apart: Penstock) -> None:
    """A client that is not ours shows a certificate and verifies the other, with the usual options."""
    trusted, own, key = (
        apart.env[f"PENSTOCK_{name}"] for name in ("CA_FILE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
    )
    certified = Grpcurl(apart.grpc, apart.admin_token, "-cacert", trusted, "-cert", own, "-key", key)
    assert certified("penstock.v1.OrganizationService/ListOrganizations").code == 0
    assert Grpcurl(apart.grpc, apart.admin_token, "-cacert", trusted)("list", ok=False).code != 0


def test_what_a_node_says(apart: Penstock, tmp_path: Path) -> None:
    """Whom it does not trust it does not follow, and its log and /readyz say why; so does the command."""
    others = Authority("Others").write(tmp_path / "others")
    apart.planes["dataplane"].stop()
    env = _env(apart, CA_FILE=str(others))
    sentence = "signed by nobody who is trusted here"
    refused = run(PROGRAM, "organizations", "list", env=env, ok=False)
    assert refused.code == Exit.UNAVAILABLE
    assert sentence in refused.err
    assert len(refused.err.splitlines()) == 1
    node = Process("node", [PROGRAM, "dataplane"], log=tmp_path / "node.log", env=env)
    node.start()
    try:
        wait(lambda: sentence in node.tail(), "the log says why")
        assert sentence in http.request(apart.node, "GET", "/readyz").body.decode()
    finally:
        node.stop()


@pytest.mark.slow
def test_up(tmp_path: Path, authority: Authority) -> None:
    """In one, with a certificate for another name, signed by who knows whom; it says what to set."""
    pair = authority.issue(tmp_path / "served", "penstock.example")
    context = authority.client_context()
    context.check_hostname = False
    penstock = Penstock(
        tmp_path / "penstock", settings=settings(pair) | {"CA_FILE": "/absent", "WORKERS": "1"}, tls=context
    )
    try:
        penstock.start()
        up = penstock.planes["up"]
        wait(lambda: "docker pull" in up.tail(), "what to do next is printed")
        lines = map(str.strip, up.tail().splitlines())
        words = [shlex.split(line)[1] for line in lines if line.startswith("export ")]
        exported = dict(word.split("=", 1) for word in words)
        assert exported["PENSTOCK_ADDRESS"] == f"https://{penstock.grpc}"
        assert run(PROGRAM, "organizations", "create", "acme", env=exported).code == 0
    finally:
        penstock.stop()


def _pair(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def _env(penstock: Penstock, **changed: str) -> dict[str, str]:
    return penstock.env | {f"PENSTOCK_{name}": value for name, value in changed.items()}
