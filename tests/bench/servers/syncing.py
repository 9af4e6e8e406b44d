"""What syncs a repository of many tags: Penstock's control plane, and a plain loop."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tests.bench.load.address import Address
from tests.bench.load.message import LoadFailed
from tests.bench.servers.server import NotAvailable, Server, Setup
from tests.bench.servers.tagged import REPOSITORY
from tests.servers import http
from tests.servers import penstock as installation
from tests.servers.command import CommandFailed, run
from tests.servers.ports import free_ports
from tests.servers.process import Process, ServerFailed

_ROOT: Final = Path(__file__).resolve().parents[3]
# More than any run here takes.
_TIMEOUT: Final = 1800
_STATUS: Final = "/proc/{}/status"


@dataclass(frozen=True, slots=True)
class Spent:
    """What one sync took; memory in bytes: at most during it, and that less what was used before it."""

    seconds: float
    cpu_seconds: float
    peak: int
    growth: int


class TaggedUpstream:
    """The upstream, in a process of its own."""

    def __init__(self, directory: Path, tags: int) -> None:
        (port,) = free_ports(1)
        self.host = f"127.0.0.1:{port}"
        argv = [sys.executable, "-m", "tests.bench.servers.tagged", "--port", str(port), "--tags", str(tags)]
        self._process = Process("tagged upstream", argv, log=directory / "upstream.log", cwd=_ROOT)

    def start(self) -> None:
        self._process.start()
        self._process.wait_ready(lambda: http.answers(self.host, "/v2/"))

    def stop(self) -> None:
        self._process.stop()

    def asked(self) -> dict[str, int]:
        """The requests since this was asked last, by method and kind."""
        counts: dict[str, int] = json.loads(http.request(self.host, "GET", "/asked").body)
        return counts

    def move(self, tags: int) -> None:
        """Gives some tags another index."""
        http.request(self.host, "GET", f"/move?n={tags}")


class Syncing(Server):
    """Something that syncs the repository of an upstream when it is told to."""

    def sync(self) -> Spent:
        """Syncs once, and waits for it; raises LoadFailed."""
        raise NotImplementedError

    @property
    def address(self) -> Address:
        raise NotAvailable("nothing is asked of it")

    def pids(self) -> set[int]:
        return set()


class ControlPlane(Syncing):
    """Penstock without a node: the control plane, on its embedded database."""

    name = "penstock"

    def start(self) -> None:
        if not installation.PROGRAM.exists():
            raise NotAvailable(f"there is no {installation.PROGRAM}: run 'make setup'")
        settings = {"REGISTRY_UPSTREAM_SYNC_TIMEOUT": f"{_TIMEOUT}s", "LOG_LEVEL": "warning"}
        self._penstock = installation.Penstock(self.setup.directory, together=False, settings=settings)
        self._synced = False
        try:
            self._penstock.start_plane("controlplane")
            self._penstock.cli("organizations", "create", "bench")
        except (ServerFailed, CommandFailed) as error:
            self.stop()
            raise NotAvailable(str(error)) from error

    def stop(self) -> None:
        self._penstock.stop()

    def pids(self) -> set[int]:
        return {self._penstock.planes["controlplane"].pid}

    def sync(self) -> Spent:
        upstream = ("--upstream", f"{self.setup.upstream}/{REPOSITORY}", "--plain-http")
        command = ("sync", REPOSITORY) if self._synced else ("create", REPOSITORY, *upstream)
        self._synced = True
        (pid,) = self.pids()
        # Its peak from now on (proc(5), clear_refs).
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        before = _status(pid)["VmRSS"]
        with self.watched() as usage:
            try:
                env = {key: value for key, value in self._penstock.env.items() if "PENSTOCK" in key}
                run(installation.PROGRAM, "artifacts", *command, "--wait", env=env, timeout=_TIMEOUT)
            except CommandFailed as error:
                raise LoadFailed(str(error)) from error
        (job, *_) = self._penstock.json("artifacts", "syncs", REPOSITORY)
        peak = _status(pid)["VmHWM"]
        return Spent(_seconds(job), usage.cpu_seconds, peak, peak - before)


class PlainLoop(Syncing):
    """A loop over all tags and manifests, as schedulers around registry clients do it."""

    name = "plain loop"

    def start(self) -> None:
        """Nothing runs between syncs."""

    def stop(self) -> None:
        """Nothing runs between syncs."""

    def sync(self) -> Spent:
        argv = [sys.executable, "-m", "tests.bench.servers.plain_loop", self.setup.upstream, REPOSITORY]
        done = subprocess.run(argv, cwd=_ROOT, capture_output=True, check=False)
        if done.returncode:
            raise LoadFailed(done.stderr.decode()[-500:])
        told: Mapping[str, Any] = json.loads(done.stdout)
        peak = int(told["peak_bytes"])
        return Spent(told["seconds"], told["cpu_seconds"], peak, peak)


def _status(pid: int) -> dict[str, int]:
    """Memory of a process in bytes, by the names of /proc/<pid>/status."""
    lines = Path(_STATUS.format(pid)).read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")}


def _seconds(job: Mapping[str, Any]) -> float:
    start, end = (datetime.fromisoformat(job[name]) for name in ("start_time", "end_time"))
    return (end - start).total_seconds()


@contextmanager
def syncing(
    upstream: TaggedUpstream, setup: Callable[[type[Server]], Setup], leave_out: Callable[[str], None]
) -> Iterator[list[Server]]:
    """Runs the upstream, and what syncs it as far as it can be had."""
    upstream.start()
    servers: list[Server] = []
    try:
        kinds: tuple[type[Syncing], ...] = (ControlPlane, PlainLoop)
        for kind in kinds:
            candidate = kind(setup(kind))
            try:
                candidate.start()
            except NotAvailable as error:
                leave_out(f"{kind.name}: {error}")
            else:
                servers.append(candidate)
        yield servers
    finally:
        for server in servers:
            server.stop()
        upstream.stop()
