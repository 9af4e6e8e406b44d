"""What keeps the control plane from starting is one sentence: its `main`, called in this process.

That the process ends with the code which `main` gives is the subject of `tests/e2e/test_startup.py`.
"""

import asyncio
import logging
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clients.control.token import TokenKind, new_token
from controlplane.__main__ import main
from tests.fakes import sqlite_copies

Start = Callable[..., tuple[int, str, str]]


@pytest.fixture
def start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Start]:
    """Starts one in `data`, on free ports unless settings say otherwise; gives exit code and both outputs."""
    for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(name)
    # A process sets these for itself.
    mask = os.umask(0o077)
    os.umask(mask)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
        usual = {
            "PENSTOCK_DATA_DIR": str(tmp_path / "data"),
            "PENSTOCK_GRPC_LISTEN": "127.0.0.1:0",
            "PENSTOCK_HTTP_LISTEN": "127.0.0.1:0",
        }
        for name, value in (usual | settings).items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    yield run
    os.umask(mask)
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def _refusal(outcome: tuple[int, str, str]) -> str:
    code, out, err = outcome
    assert code == 78, err
    assert out == ""
    (line,) = err.splitlines()
    return line


@pytest.mark.parametrize("setting", ["PENSTOCK_GRPC_LISTEN", "PENSTOCK_HTTP_LISTEN"])
def test_a_taken_port_is_one_sentence(start: Start, tmp_path: Path, setting: str) -> None:
    """It names the address and the setting; nothing is created."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = _refusal(start(**{setting: address}))
    assert address in line
    assert setting in line
    assert not (tmp_path / "data" / "admin-token").exists()


def test_a_directory_that_is_none_is_one_sentence(start: Start, tmp_path: Path) -> None:
    """A file in its place."""
    (tmp_path / "data").write_text("")
    assert "PENSTOCK_DATA_DIR" in _refusal(start())


def test_a_newer_database_is_one_sentence(start: Start, tmp_path: Path) -> None:
    """It is left as it is."""
    asyncio.run(sqlite_copies.copy_into(tmp_path / "data"))
    version = "SELECT version_num FROM alembic_version"
    with closing(sqlite3.connect(tmp_path / "data" / sqlite_copies.FILE)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        assert "newer than this version of Penstock" in _refusal(start())
        assert connection.execute(version).fetchall() == [("9999",)]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("PENSTOCK_GRPC_LISTEN", "nonsense"),
        ("PENSTOCK_HTTP_LISTEN", "127.0.0.1:99999"),
        ("PENSTOCK_DATABASE_URL", "mysql://localhost/penstock"),
        ("PENSTOCK_LOG_LEVEL", "loud"),
        ("PENSTOCK_ALLOW_PRIVATE_UPSTREAMS", "perhaps"),
        ("PENSTOCK_CONTROLPLANE_TLS_CERTIFICATE", "/absent"),
        ("REGISTRY_UPSTREAM_SYNC_TIMEOUT", "soon"),
    ],
)
def test_a_wrong_setting_is_one_sentence(start: Start, setting: str, value: str) -> None:
    """It names the variable."""
    assert setting in _refusal(start(**{setting: value}))


def test_a_token_in_the_wrong_variable(start: Start) -> None:
    """The sentence ends up in somebody's log: the token does not."""
    token = new_token(TokenKind.USER)
    line = _refusal(start(PENSTOCK_HTTP_LISTEN=token))
    assert "PENSTOCK_HTTP_LISTEN is 'pst_[redacted]'" in line
    assert token not in line


def test_a_database_server_that_is_away(start: Start) -> None:
    """Trying again may help, and the exit code says so; the password is not shown."""
    code, out, err = start(PENSTOCK_DATABASE_URL="postgresql://penstock:hunter2@127.0.0.1:1/penstock")
    assert (code, out) == (69, "")
    assert "PENSTOCK_DATABASE_URL" in err
    assert "hunter2" not in err


def test_a_wrong_command_line(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is that of usage errors."""
    with pytest.raises(SystemExit) as end:
        start("nonsense")
    assert end.value.code == 2
    assert "usage" in capsys.readouterr().err
