"""What a workload gets: how much to run, a site, and servers that run while it measures them."""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import ask, machine
from tests.bench.content import Site
from tests.bench.load.message import LoadFailed
from tests.bench.machine import Placement
from tests.bench.servers.nginx import UpstreamNginx
from tests.bench.servers.server import NotAvailable, Server, Setup
from tests.bench.tls import Certificate
from tests.servers.command import CommandFailed
from tests.servers.process import ServerFailed


@dataclass(frozen=True, slots=True)
class Field:
    """The servers of a workload and the upstream that the caches among them have."""

    servers: list[Server]
    upstream: UpstreamNginx


@dataclass
class Bench:
    """One run of the benchmark."""

    directory: Path
    rounds: int
    # Length of a run that goes by time, in s.
    seconds: float
    quick: bool
    # When no other case is begun, as time.monotonic() counts.
    deadline: float = math.inf
    # What was not measured, and why.
    left_out: list[str] = field(default_factory=list)

    def is_late(self) -> bool:
        """Whether the time that the benchmark may take has passed."""
        return time.monotonic() > self.deadline

    @contextmanager
    def site(self) -> Iterator[Site]:
        """A new, empty site for one workload; its files go with it."""
        with TemporaryDirectory(dir=self.directory) as directory:
            yield Site(Path(directory))

    @contextmanager
    def running(
        self,
        site: Site,
        *kinds: type[Server],
        placement: Placement,
        warm: str | None = None,
        workers: int = 1,
        certificate: Certificate | None = None,
    ) -> Iterator[Field]:
        """Runs one server of each kind, in this order, with an upstream that serves the site.

        The site's manifests must all be there. Servers get the image with the tag `warm` beforehand. Those
        that cannot run, or give wrong bytes then, are left out, loudly; raises NotAvailable when no upstream
        can run.
        """
        with ExitStack() as stack:
            upstream = UpstreamNginx(self._setup(site, UpstreamNginx, placement.load))
            upstream.start()
            stack.callback(upstream.stop)
            servers = []
            for kind in kinds:
                setup = self._setup(site, kind, placement.servers)
                server = kind(
                    replace(setup, upstream=str(upstream.address), workers=workers, certificate=certificate)
                )
                try:
                    server.start()
                    stack.callback(server.stop)
                    if warm is not None:
                        ask.warm(server, site.images[warm], warm)
                except (NotAvailable, LoadFailed, OSError, CommandFailed, ServerFailed) as error:
                    self.leave_out(f"{kind.name}: {error}")
                else:
                    servers.append(server)
            stack.enter_context(machine.on(placement.load))
            yield Field(servers, upstream)

    def _setup(self, site: Site, kind: type[Server], cores: frozenset[int]) -> Setup:
        directory = site.directory / kind.name.replace(" ", "-")
        directory.mkdir()
        return Setup(directory, site, cores)

    def leave_out(self, what: str) -> None:
        """Notes and prints that something is not measured."""
        if what not in self.left_out:
            self.left_out.append(what)
            print(f"LEFT OUT {what}", flush=True)
