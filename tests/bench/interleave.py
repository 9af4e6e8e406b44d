"""Runs a case: every server in turn, round after round (A B A B), so that a disturbance hits all alike."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.bench import machine
from tests.bench.case import Case, Result
from tests.bench.load.message import LoadFailed
from tests.bench.servers.server import NotAvailable
from tests.servers.command import CommandFailed
from tests.servers.process import ServerFailed


@dataclass(slots=True)
class Bystanders:
    """What processes that are no part of the benchmark took while it measured, in cores, run by run."""

    cores: list[float] = field(default_factory=list)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Adds what others used while the block ran."""
        started, busy, ours = time.monotonic(), machine.busy_seconds(), _ours()
        yield
        spent = machine.busy_seconds() - busy - machine.growth(ours, _ours())
        self.cores.append(max(spent, 0.0) / (time.monotonic() - started))


def run(workload: str, case: Case, rounds: int, bystanders: Bystanders) -> Result:
    """Runs all rounds of a case; a server that fails once is out of it, with the reason in the result."""
    result = Result(workload, case.name, case.placement, {server.name: [] for server in case.servers})
    for number in range(min(rounds, case.rounds or rounds)):
        for server in case.servers:
            if server.name in result.failures:
                continue
            try:
                with bystanders.watched():
                    result.samples[server.name].append(case.measure(server, number))
                # What it still does for clients that have left is not to be paid for by the next.
                server.wait_until_quiet()
            except (LoadFailed, OSError, NotAvailable, CommandFailed, ServerFailed) as error:
                result.failures[server.name] = str(error)
                del result.samples[server.name]
    return result


def _ours() -> dict[int, float]:
    return machine.cpu_seconds(machine.with_descendants(os.getpid()))
