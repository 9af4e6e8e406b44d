"""What goes wrong is one sentence that says what to do, and an exit code that scripts can use."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from clients.cli import organizations
from clients.cli.output import Format
from clients.cli.session import Session
from clients.control.token import TokenKind, new_token
from tests.fakes.scripted_api import Refusal


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (grpc.StatusCode.NOT_FOUND, 1),
        (grpc.StatusCode.FAILED_PRECONDITION, 1),
        (grpc.StatusCode.ABORTED, 1),
        (grpc.StatusCode.INTERNAL, 1),
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.UNAVAILABLE, 69),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 69),
        (grpc.StatusCode.UNAUTHENTICATED, 77),
        (grpc.StatusCode.PERMISSION_DENIED, 77),
    ],
)
def test_exit_codes(run, api, code, exit_code):
    """Each status has its exit code; the server's sentence is there in every case."""
    api.answer("GetOrganization", Refusal(code, "It is so.", "SO_IT_IS"))
    result = run("organizations", "get", "acme")
    assert result.code == exit_code
    assert result.err.startswith("penstock: It is so.")
    assert len(result.err.splitlines()) == 1
    assert result.out == ""


def test_when_to_try_again(run, api):
    """Where the server says when, so does the command."""
    refusal = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many", "UPSTREAM_RATE_LIMITED", retry_after=30)
    api.answer("GetOrganization", refusal)
    assert run("organizations", "get", "acme").err == "penstock: Too many. Try again in 30 seconds.\n"


def test_nobody_listens(run, monkeypatch):
    """Says where it looked, how to start, and which setting to change."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monkeypatch.setenv("PENSTOCK_ADDRESS", f"127.0.0.1:{port}")
        monkeypatch.setenv("PENSTOCK_TOKEN", new_token(TokenKind.USER))
        result = run("organizations", "list")
    assert result.code == 69
    for part in (f"127.0.0.1:{port}", "penstock up", "PENSTOCK_ADDRESS", "8081"):
        assert part in result.err


@pytest.mark.parametrize(
    "address", ["nonsense", "http://127.0.0.1:8081", "https://", "127.0.0.1:99999", "127.0.0.1:"]
)
def test_an_address_that_is_none(run, api, monkeypatch, address):
    """A wrong setting is named, with an address of the API to put there and none to listen on."""
    monkeypatch.setenv("PENSTOCK_ADDRESS", address)
    result = run("organizations", "list")
    assert result.code == 78
    assert "PENSTOCK_ADDRESS" in result.err
    assert "0.0.0.0" not in result.err


@pytest.mark.parametrize(
    ("address", "allowed", "warning"),
    [
        ("127.0.0.1:8081", "", ""),
        ("https://controlplane:1", "", ""),
        ("controlplane:1", "", "penstock: warning: The token is sent in clear to controlplane:1"),
        ("controlplane:1", "true", ""),
    ],
)
async def test_a_token_that_others_can_read(capsys, address, allowed, warning):
    """It is sent in clear to another machine, with a warning unless nobody minds."""
    environment = {
        "PENSTOCK_ADDRESS": address,
        "PENSTOCK_TOKEN": new_token(TokenKind.USER),
        "PENSTOCK_ALLOW_CLEARTEXT": allowed,
    }
    # Nothing is sent before the first call.
    await Session(environment, Format.TABLE).control().close()
    said = capsys.readouterr().err
    assert said.startswith(warning)
    assert bool(said) is bool(warning)


def test_neither_yes_nor_no(run, monkeypatch):
    """It is told what the setting takes."""
    monkeypatch.setenv("PENSTOCK_ADDRESS", "controlplane.invalid:1")
    monkeypatch.setenv("PENSTOCK_TOKEN", new_token(TokenKind.USER))
    monkeypatch.setenv("PENSTOCK_ALLOW_CLEARTEXT", "perhaps")
    result = run("organizations", "list")
    assert result.code == 78
    assert "PENSTOCK_ALLOW_CLEARTEXT is 'perhaps': give true or false" in result.err


def test_no_token(run, api, monkeypatch):
    """Neither set nor in the data directory: both ways are told."""
    monkeypatch.delenv("PENSTOCK_TOKEN")
    result = run("organizations", "list")
    assert result.code == 77
    assert "PENSTOCK_TOKEN" in result.err
    assert "PENSTOCK_DATA_DIR" in result.err


def test_the_token_of_the_data_directory(run, api, monkeypatch):
    """Without PENSTOCK_TOKEN, what the first start left is taken."""
    monkeypatch.delenv("PENSTOCK_TOKEN")
    token = new_token(TokenKind.USER)
    Path("data").mkdir()
    Path("data/admin-token").write_text(f"{token}\n")
    api.answer("GetOrganization", Refusal(grpc.StatusCode.NOT_FOUND, "No.", "NO"))
    run("organizations", "get", "acme")
    assert api.calls[0].metadata["authorization"] == f"Bearer {token}"


def test_half_a_token(run, api, monkeypatch):
    """A token that was cut off is not sent, and not repeated."""
    half = new_token(TokenKind.USER)[:-3]
    monkeypatch.setenv("PENSTOCK_TOKEN", half)
    result = run("organizations", "list")
    assert result.code == 77
    assert "PENSTOCK_TOKEN" in result.err
    assert half not in result.err
    assert not api.calls


def test_no_secret_in_a_sentence(run, api):
    """Whatever a server quotes, tokens are masked and the terminal is left alone."""
    token = new_token(TokenKind.USER)
    api.answer("GetOrganization", Refusal(grpc.StatusCode.INTERNAL, f"sent {token}\n\x1b[31m", "ODD"))
    err = run("organizations", "get", "acme").err
    assert token not in err
    assert "\x1b" not in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("disk", "said"),
    [(False, ""), (True, "penstock: The output cannot be written: no space left on device.\n")],
)
def test_output_that_nobody_takes(disk, said):
    """A reader that has enough, as `head` may, is no mistake, and a full disk is told; both are failures."""
    reader, writer = os.pipe()
    os.close(reader)
    target = os.open("/dev/full", os.O_WRONLY) if disk else os.dup(writer)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    try:
        command = (sys.executable, "-m", "clients.cli.main", "version")
        done = subprocess.run(
            command, stdout=target, stderr=subprocess.PIPE, env=environment, check=False, timeout=60
        )
    finally:
        os.close(target)
        os.close(writer)
    assert (done.returncode, done.stderr.decode()) == (1, said)


def test_a_mistake_of_ours_has_no_traceback(run, api, monkeypatch):
    """One sentence, exit code 1, and how to see more."""
    monkeypatch.setattr(organizations, "show", lambda *_: 1 // 0)
    monkeypatch.delenv("PENSTOCK_LOG_LEVEL", raising=False)
    api.answer("GetOrganization", organizations.Organization(name="organizations/acme"))
    result = run("organizations", "get", "acme")
    assert result.code == 1
    assert "Traceback" not in result.err
    assert "ZeroDivisionError" in result.err
    assert "PENSTOCK_LOG_LEVEL=debug" in result.err
