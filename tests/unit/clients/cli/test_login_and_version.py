"""`penstock login-hint` and `penstock version`: what needs no server."""

import json
import os
from pathlib import Path

import pytest

from clients.control.token import TokenKind, new_token


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    """No setting of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(name)


def test_with_the_token_of_the_data_directory(run, monkeypatch):
    """A line for the shell that logs in without showing the token."""
    monkeypatch.setenv("PENSTOCK_DATA_DIR", "my data")
    Path("my data").mkdir()
    Path("my data/admin-token").write_text(new_token(TokenKind.USER))
    result = run("login-hint")
    assert result.out == "docker login 127.0.0.1:8080 -u - --password-stdin < 'my data/admin-token'\n"


def test_with_the_token_of_the_environment(run, monkeypatch):
    """The token itself is not in the line."""
    token = new_token(TokenKind.USER)
    monkeypatch.setenv("PENSTOCK_TOKEN", token)
    out = run("login-hint").out
    assert out == "printenv PENSTOCK_TOKEN | docker login 127.0.0.1:8080 -u - --password-stdin\n"
    assert token not in out


def test_without_a_token(run):
    """Then docker asks for it."""
    assert run("login-hint").out == "docker login 127.0.0.1:8080 -u -\n"


def test_where_the_registry_is(run, monkeypatch):
    """The setting, with loopback for all interfaces; the option before it."""
    monkeypatch.setenv("PENSTOCK_REGISTRY_LISTEN", "0.0.0.0:9000")
    assert " 127.0.0.1:9000 " in run("login-hint").out
    shown = json.loads(run("login-hint", "--registry", "registry.example.com:443", "-o", "json").out)
    assert shown["registry"] == "registry.example.com:443"
    assert shown["command"] == "docker login registry.example.com:443 -u -"
    wrong = run("login-hint", "--registry", "registry.example.com")
    assert wrong.code == 78
    assert "like registry.example.com:443" in wrong.err


def test_version(run):
    """The number alone; an object in JSON."""
    number = run("version").out.strip()
    assert number.count(".") == 2
    assert json.loads(run("version", "--output", "json").out) == {"version": number}
