"""A PostgreSQL server of one's own, from Debian's package; its data live as long as the object."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.servers.ports import free_ports
from tests.servers.process import Process

_ROLE = "penstock"
_PACKAGES = Path("/usr/lib/postgresql")


class Postgres:
    """A server on a free port of loopback, with an empty database; skips the test where there is no program.

    As root it runs as the package's user, since PostgreSQL refuses to run as root.
    """

    def __init__(self) -> None:
        programs = sorted(_PACKAGES.glob("*/bin/postgres"))
        if not programs:
            pytest.skip("PostgreSQL is not on this machine: install Debian's postgresql")
        bin_directory = programs[-1].parent
        self._home = Path(tempfile.mkdtemp(prefix="penstock-postgres-"))
        self._user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        if os.geteuid() == 0:
            shutil.chown(self._home, "postgres", "postgres")
        else:
            self._user = []
        self._createdb = [bin_directory / "createdb", "-h", self._home, "-U", _ROLE]
        self._databases = 0
        data = self._home / "data"
        self._run([bin_directory / "initdb", "-D", data, "-U", _ROLE, "-A", "trust", "-E", "UTF8", "-N"])
        (self._port,) = free_ports(1)
        self._process = Process(
            "postgres",
            [
                *self._user,
                *(bin_directory / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(self._port)),
                *("-k", self._home, "-c", "fsync=off"),
            ],
            log=self._home / "log",
        )
        self._ready = [
            bin_directory / "pg_isready",
            "-q",
            "-U",
            _ROLE,
            "-d",
            "postgres",
            "-h",
            "127.0.0.1",
            "-p",
            str(self._port),
        ]

    @property
    def url(self) -> str:
        """What PENSTOCK_DATABASE_URL takes."""
        return f"postgresql://{_ROLE}@127.0.0.1:{self._port}/postgres"

    def copy(self, template: str = "template0") -> str:
        """Makes a database, empty or like the one at a URL that nobody is connected to; gives its URL."""
        self._databases += 1
        name = f"copy{self._databases}"
        like = template.rpartition("/")[2]
        self._run([*self._createdb, "-p", str(self._port), "-T", like, name])
        return f"{self.url.rpartition('/')[0]}/{name}"

    def start(self) -> "Postgres":
        """Starts the server, also after a stop, and waits until it answers."""
        self._process.start()
        self._process.wait_ready(lambda: subprocess.run(self._ready, check=False).returncode == 0)
        return self

    def stop(self) -> None:
        """Ends every connection and the server."""
        # SIGINT is PostgreSQL's "fast" shutdown: it does not wait for clients.
        if self._process.running:
            os.kill(self._process.pid, signal.SIGINT)
            self._process.wait_exit()

    def remove(self) -> None:
        """Stops, and deletes the data."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _run(self, command: Sequence[str | Path]) -> None:
        subprocess.run(
            [*self._user, *map(str, command)], check=True, capture_output=True, timeout=60, cwd=self._home
        )
