"""`penstock up` as its users start it, with stand-ins where the planes would be."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients.cli import up
from clients.cli.installation import Installation
from tests.servers.certificates import Authority
from tests.servers.ports import free_ports

# Answers every request on the given port with 200, as a plane that is ready would.
STAND_IN = """
import os, socket, sys, time
print("{name} started", flush=True)
if os.path.exists("wrong"):
    sys.exit("wrong") if open("wrong").read() != "{name}" else sys.exit(78)
server = socket.create_server(("127.0.0.1", int(os.environ["{setting}"].split(":")[1])))
while True:
    connection, _ = server.accept()
    connection.recv(1024)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    connection.close()
"""
SETTINGS = ("REGISTRY", "GRPC", "HTTP", "NODE")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Free ports, a data directory that is not there yet, and stand-ins in the current directory."""
    for name, setting in (("controlplane", "PENSTOCK_HTTP_LISTEN"), ("dataplane", "PENSTOCK_NODE_LISTEN")):
        (tmp_path / f"{name}.py").write_text(STAND_IN.format(name=name, setting=setting))
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in SETTINGS]
    places = {
        f"PENSTOCK_{setting}_LISTEN": f"127.0.0.1:{listener.getsockname()[1]}"
        for setting, listener in zip(SETTINGS, sockets, strict=True)
    }
    for listener in sockets:
        listener.close()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return kept | places | {"PENSTOCK_DATA_DIR": str(tmp_path / "new" / "data")}


@contextmanager
def started(environment: dict[str, str], directory: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """`penstock up` in this directory, killed at the end where it still runs."""
    command = [sys.executable, "-m", "clients.cli.main", "up", *flags]
    with subprocess.Popen(
        command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def lines_until(process: subprocess.Popen[str], last: str) -> list[str]:
    """What it prints, up to the first line with this text."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if last in line:
            break
    return lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_from_start_to_end(environment, tmp_path, number):
    """Control plane, data plane, a summary that says where everything is, and an end in order."""
    with started(environment, tmp_path) as process:
        text = "\n".join(lines_until(process, "docker pull"))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err == ""
    assert (
        text.index("controlplane started")
        < text.index("dataplane started")
        < text.index("Penstock is ready.")
    )
    for setting in SETTINGS:
        assert environment[f"PENSTOCK_{setting}_LISTEN"] in text
    assert f"{tmp_path}/new/data/admin-token" in text
    assert f"export PENSTOCK_ADDRESS={environment['PENSTOCK_GRPC_LISTEN']}" in text
    assert Path(environment["PENSTOCK_DATA_DIR"]).stat().st_mode & 0o777 == 0o700


def test_summary_as_json(environment, tmp_path):
    """What a script needs to know, in one object."""
    with started(environment, tmp_path, "--output", "json") as process:
        lines = lines_until(process, "}")
        process.terminate()
        process.communicate(timeout=60)
    shown = json.loads("\n".join(lines[lines.index("{") :]))
    assert shown["registry"] == environment["PENSTOCK_REGISTRY_LISTEN"]
    assert shown["token"].endswith("/admin-token")


@pytest.mark.parametrize("plane", ["controlplane", "dataplane"])
def test_a_plane_that_cannot_be_configured(environment, tmp_path, plane):
    """Its exit code becomes the command's."""
    (tmp_path / "wrong").write_text(plane)
    if plane == "dataplane":
        # The control plane must start for the data plane to be tried.
        other = (tmp_path / "controlplane.py").read_text().replace('os.path.exists("wrong")', "False")
        (tmp_path / "controlplane.py").write_text(other)
    with started(environment, tmp_path) as process:
        process.communicate(timeout=60)
    assert process.returncode == 78


def test_a_taken_port(environment, tmp_path):
    """One sentence with address and setting, before anything is started."""
    host, port = environment["PENSTOCK_NODE_LISTEN"].split(":")
    with socket.create_server((host, int(port))), started(environment, tmp_path) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 78
    assert out == ""
    assert "PENSTOCK_NODE_LISTEN" in err
    assert len(err.splitlines()) == 1


def test_a_data_directory_that_cannot_be(environment, tmp_path):
    """One sentence with the directory and its setting."""
    (tmp_path / "new").write_text("a file")
    with started(environment, tmp_path) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 78
    assert "PENSTOCK_DATA_DIR" in err
    assert len(err.splitlines()) == 1


def test_the_same_port_twice(environment, tmp_path):
    """Found before a process can be confused by it."""
    environment["PENSTOCK_NODE_LISTEN"] = environment["PENSTOCK_HTTP_LISTEN"]
    with started(environment, tmp_path) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 78
    assert "PENSTOCK_NODE_LISTEN" in err


def test_the_node_belongs_to_this_control_plane(environment):
    """Whatever control plane the caller usually speaks to."""
    everywhere = environment["PENSTOCK_GRPC_LISTEN"].replace("127.0.0.1", "0.0.0.0")
    settings = {"PENSTOCK_ADDRESS": "elsewhere.example.com:1", "PENSTOCK_GRPC_LISTEN": everywhere}
    children = Installation.of(environment | settings).for_children()
    assert children["PENSTOCK_ADDRESS"] == environment["PENSTOCK_GRPC_LISTEN"]


@pytest.mark.parametrize(
    ("host", "name"),
    [("penstock.example", "penstock.example"), ("*.example", "penstock.example"), ("127.0.0.1", "")],
)
def test_a_control_plane_with_a_certificate(environment, tmp_path, host, name):
    """Its node trusts that, by a name that it has; without a certificate nothing is left of such settings."""
    client = {
        "PENSTOCK_CA_FILE": "/absent",
        "PENSTOCK_CLIENT_CERTIFICATE": "own.crt",
        "PENSTOCK_CLIENT_KEY": "own.key",
    }
    children = Installation.of(environment | client).for_children()
    assert not any(children[setting] for setting in client)
    pair = Authority().issue(tmp_path / "tls", host)
    served = {
        "PENSTOCK_CONTROLPLANE_TLS_CERTIFICATE": str(pair.certificate),
        "PENSTOCK_CONTROLPLANE_TLS_KEY": str(pair.key),
    }
    children = Installation.of(environment | client | served).for_children()
    assert children["PENSTOCK_ADDRESS"] == f"https://{environment['PENSTOCK_GRPC_LISTEN']}"
    assert children["PENSTOCK_CA_FILE"] == str(pair.certificate)
    assert children["PENSTOCK_SERVER_NAME"] == name
    assert children["PENSTOCK_CLIENT_CERTIFICATE"] == "own.crt"


@pytest.mark.parametrize("plane", ["controlplane", "dataplane"])
def test_a_plane_takes_the_place_of_the_command(run, monkeypatch, plane):
    """So that signals and exit codes are the plane's own."""
    became: list[tuple[str, ...]] = []
    monkeypatch.setattr(up.os, "execve", lambda path, line, environment: became.append((path, *line)))
    assert run(plane).code == 0
    assert became == [(sys.executable, sys.executable, "-m", plane)]


def test_one_for_a_data_directory(environment: dict[str, str], tmp_path: Path) -> None:
    """On other ports neither; and as soon as the first is gone, however it ended, the directory is free."""
    elsewhere = environment | {f"PENSTOCK_{name}_LISTEN": f"127.0.0.1:{port}" for name, port in _ports()}
    with started(environment, tmp_path) as first:
        lines_until(first, "Penstock is ready")
        with started(elsewhere, tmp_path) as second:
            _, err = second.communicate(timeout=30)
        assert second.returncode == 78
        assert "PENSTOCK_DATA_DIR" in err
        assert "controlplane started" not in err
        first.kill()
        first.wait()
        with started(elsewhere, tmp_path) as third:
            lines_until(third, "Penstock is ready")


def _ports() -> Iterator[tuple[str, int]]:
    """Four that are free, other than those of the environment."""
    return zip(SETTINGS, free_ports(len(SETTINGS)), strict=True)
