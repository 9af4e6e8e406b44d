"""The command against a scripted control plane, in this process."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from clients.cli import main
from clients.control.token import TokenKind, new_token
from tests.fakes.scripted_api import ScriptedApi, served_aside


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedApi]:
    """Serve one for all tests of a file: it costs more to start than to ask."""
    with served_aside() as api:
        yield api


@pytest.fixture
def api(server: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> ScriptedApi:
    """A control plane that nobody has asked anything yet, set as the one to call."""
    server.forget()
    monkeypatch.setenv("PENSTOCK_ADDRESS", server.address)
    monkeypatch.setenv("PENSTOCK_TOKEN", new_token(TokenKind.USER))
    return server


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> Run:
    """Runs a command line, in a directory of its own."""
    monkeypatch.chdir(tmp_path)

    def penstock(*arguments: str) -> Result:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["penstock", *arguments])
        with pytest.raises(SystemExit) as end:
            main.main()
        captured = capsys.readouterr()
        return Result(int(end.value.code or 0), captured.out, captured.err)

    return penstock
