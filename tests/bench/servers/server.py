"""A server under measurement: started on given cores, watched with all its processes."""

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import machine
from tests.bench.content import Site
from tests.bench.load.address import Address
from tests.bench.tls import Certificate
from tests.servers.process import Process

# A server is quiet when it uses less than this share of a core for so long (s); tries until it is left alone.
_QUIET_STEP = 0.05
_QUIET_SHARE = 0.05
_QUIET_TRIES = 60


class NotAvailable(Exception):
    """This server cannot take part; the message says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How a server is to be run."""

    # The server's own; exists.
    directory: Path
    site: Site
    cores: frozenset[int]
    # The upstream of a cache, as host:port.
    upstream: str = ""
    # Processes that serve, where the server leaves the choice.
    workers: int = 1
    certificate: Certificate | None = None


@dataclass(slots=True)
class Usage:
    """What the processes of a server spent while something ran."""

    cpu_seconds: float = 0.0


@dataclass
class Server(ABC):
    """One server; subclasses say how to start it. Not available ones raise NotAvailable when they start."""

    setup: Setup
    # Sent with each request.
    headers: Mapping[str, str] = field(default_factory=dict)

    # As tables and results call it.
    name = ""

    @property
    @abstractmethod
    def address(self) -> Address:
        """Where it listens."""

    @abstractmethod
    def pids(self) -> set[int]:
        """The processes that started it; their descendants count as well."""

    @abstractmethod
    def start(self) -> None:
        """Starts it with what it kept from before, and waits until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """Ends it, and all that it started."""

    def start_process(self, process: Process) -> None:
        """Starts a process of this server on the cores that it was given."""
        with machine.on(self.setup.cores):
            process.start()

    def accepts(self) -> bool:
        """Whether connections are taken."""
        try:
            self.address.connect().close()
        except OSError:
            return False
        return True

    def restart(self) -> None:
        """Starts it anew, with nothing in memory."""
        self.stop()
        self.start()

    def family(self) -> set[int]:
        """Every process of this server now."""
        return set().union(*map(machine.with_descendants, self.pids()))

    @contextmanager
    def watched(self) -> Iterator[Usage]:
        """Fills in, at the end of the block, what the server spent in it."""
        usage = Usage()
        before = machine.cpu_seconds(self.family())
        yield usage
        usage.cpu_seconds = machine.growth(before, machine.cpu_seconds(self.family()))

    def wait_until_quiet(self) -> None:
        """Waits, a bounded time, until the server has finished what it does behind its answers."""
        for _ in range(_QUIET_TRIES):
            with self.watched() as usage:
                time.sleep(_QUIET_STEP)
            if usage.cpu_seconds < _QUIET_STEP * _QUIET_SHARE:
                return


def program(name: str, package: str) -> Path:
    """The path of a program; raises NotAvailable with the name of the Debian package that has it."""
    for folder in (*os.get_exec_path(), "/usr/sbin"):
        if found := shutil.which(name, path=str(folder)):
            return Path(found)
    raise NotAvailable(
        f"{name} is not on this machine: install Debian's {package}, or run tests/setup.sh as root"
    )
