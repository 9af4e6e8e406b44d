"""What stops a process from starting is said in one sentence, with an exit code for supervisors."""

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clients.process.exits import Exit
from tests.servers.command import Finished, run
from tests.servers.penstock import PROGRAM, Penstock

LISTEN = ["REGISTRY_LISTEN", "GRPC_LISTEN", "HTTP_LISTEN", "NODE_LISTEN"]
OF_PLANE = {"controlplane": ["GRPC_LISTEN", "HTTP_LISTEN"], "dataplane": ["REGISTRY_LISTEN", "NODE_LISTEN"]}


def refused(installation: Penstock, plane: str, **settings: str) -> str:
    """Starts a plane (or `up`) that cannot start; gives its one sentence."""
    env = installation.env | {f"PENSTOCK_{name}": value for name, value in settings.items()}
    finished = run(PROGRAM, plane, env=env, timeout=60, ok=False)
    assert finished.code == Exit.CONFIGURATION, finished
    return sentence(finished)


def sentence(finished: Finished) -> str:
    """The last line of standard error, which must be a sentence; a traceback must not be anywhere."""
    assert "Traceback" not in finished.err + finished.out
    last = finished.err.strip().splitlines()[-1]
    assert last.endswith("."), finished
    return last


@pytest.fixture
def stopped(tmp_path: Path) -> Penstock:
    """An installation that was never started."""
    return Penstock(tmp_path / "penstock", together=False)


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody else listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("plane", "setting"),
    [("up", setting) for setting in LISTEN]
    + [(plane, setting) for plane, settings in OF_PLANE.items() for setting in settings],
)
def test_port_taken(stopped: Penstock, taken: str, plane: str, setting: str) -> None:
    """The sentence names the address and the setting that chooses another."""
    said = refused(stopped, plane, **{setting: taken, "NODE_TOKEN": "psn_" + "0" * 36})
    assert taken in said
    assert f"PENSTOCK_{setting}" in said


@pytest.mark.parametrize(
    ("plane", "where"),
    [
        ("up", "below-a-file"),
        ("controlplane", "read-only"),
        ("dataplane", "below-a-file"),
        ("dataplane", "read-only"),
    ],
)
def test_data_directory_not_writable(stopped: Penstock, tmp_path: Path, plane: str, where: str) -> None:
    """The sentence names the directory and the setting; also for root, whom permission bits do not stop."""
    if where == "below-a-file":
        (tmp_path / "file").write_text("")
        directory = tmp_path / "file" / "data"
    else:
        # Nobody can create a file here.
        directory = Path("/proc/self")
    said = refused(stopped, plane, DATA_DIR=str(directory), NODE_TOKEN="psn_" + "0" * 36)
    assert "PENSTOCK_DATA_DIR" in said


@pytest.mark.slow
@pytest.mark.parametrize("plane", ["up", "controlplane"])
def test_database_newer_than_the_code(stopped: Penstock, plane: str) -> None:
    """A database that a later version has written is left alone."""
    stopped.start_plane("controlplane")
    stopped.stop()
    path = stopped.data / "controlplane.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'of-a-later-version'")
    said = refused(stopped, plane)
    assert "newer" in said
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [
            ("of-a-later-version",)
        ]


@pytest.mark.parametrize(
    ("plane", "name", "value"),
    [
        ("controlplane", "GRPC_LISTEN", "nonsense"),
        ("dataplane", "REGISTRY_LISTEN", "127.0.0.1:port"),
        ("dataplane", "CACHE_MAX_BYTES", "many"),
        ("up", "HTTP_LISTEN", "127.0.0.1:99999"),
        ("up", "CONTROLPLANE_TLS_CERTIFICATE", "/proc/self"),
        ("dataplane", "ADDRESS", "http://127.0.0.1:1"),
        ("dataplane", "CA_FILE", "/absent"),
    ],
)
def test_setting_that_makes_no_sense(stopped: Penstock, plane: str, name: str, value: str) -> None:
    """The sentence names the variable."""
    said = refused(
        stopped, plane, **{name: value, **({} if plane == "up" else {"NODE_TOKEN": "psn_" + "0" * 36})}
    )
    assert f"PENSTOCK_{name}" in said


def test_control_plane_out_of_reach(stopped: Penstock) -> None:
    """The command says what to start or to set, without a traceback."""
    (stopped.data).mkdir()
    (stopped.data / "admin-token").write_text("pst_" + "0" * 36)
    finished = stopped.cli("organizations", "list", ok=False)
    assert finished.code in (Exit.UNAVAILABLE, Exit.NO_PERMISSION)
    sentence(finished)


def test_command_without_a_token(stopped: Penstock) -> None:
    """Without a token nothing is tried, and the sentence says where one comes from."""
    finished = stopped.cli("organizations", "list", ok=False)
    assert finished.code == Exit.NO_PERMISSION
    assert "PENSTOCK_TOKEN" in sentence(finished)
