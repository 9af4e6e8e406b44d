"""Cores, processor time and memory of processes, as Linux accounts for them."""

import contextlib
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_CPU_CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED


@dataclass(frozen=True, slots=True)
class Placement:
    """The cores of the servers and those of what loads them; both are all cores when they share."""

    servers: frozenset[int]
    load: frozenset[int]

    def __str__(self) -> str:
        if self.servers == self.load:
            return f"servers and load share {len(self.load)} cores"
        return f"servers on core {_listed(self.servers)}, load on core {_listed(self.load)}"


def shared() -> Placement:
    """Everything on every core that this process may use."""
    cores = frozenset(os.sched_getaffinity(0))
    return Placement(cores, cores)


def apart() -> Placement:
    """One core for the servers, one for the load; shared where there is only one."""
    first, second, *_ = (*sorted(os.sched_getaffinity(0)), None, None)
    if first is None or second is None:
        return shared()
    return Placement(frozenset({first}), frozenset({second}))


@contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """Runs the block, and for all their lives the processes that it starts, on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def with_descendants(pid: int) -> set[int]:
    """The process and everything that it or its children started."""
    parents = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = parent_of((entry / "stat").read_text())
    family, size = {pid}, 0
    while len(family) > size:
        size = len(family)
        family |= {child for child, parent in parents.items() if parent in family}
    return family


def parent_of(stat: str) -> int:
    """The parent's id from the text of /proc/<pid>/stat, where the program's name may hold anything."""
    return int(stat.rpartition(")")[2].split()[1])


def cpu_seconds(pids: Collection[int]) -> dict[int, float]:
    """User and system time of each process that lives, its ended threads included.

    It is what /proc/<pid>/stat has in ticks of 10 ms, which is too coarse for a run of 200 ms; this is the
    same account in nanoseconds, read through the clock that clock_getcpuclockid(3) names.
    """
    spent = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            spent[pid] = time.clock_gettime((~pid << 3) | _CPU_CLOCK_OF_PROCESS)
    return spent


def growth(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """What processes spent between two readings; one that came later counts whole."""
    return sum(spent - before.get(pid, 0.0) for pid, spent in after.items())


def anonymous_memory(pids: Collection[int]) -> int:
    """Bytes of memory that processes hold for themselves: no file pages, no kernel buffers."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += anonymous_of((_PROC / str(pid) / "status").read_text())
    return total


def anonymous_of(status: str) -> int:
    """Bytes of anonymous memory from the text of /proc/<pid>/status; 0 where it does not say."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "RssAnon":
            return int(value.split()[0]) * 1024
    return 0


def busy_seconds() -> float:
    """Processor time that anybody on this machine has used since it started, over all cores."""
    return busy_of((_PROC / "stat").read_text())


def busy_of(stat: str) -> float:
    """Seconds spent not idle from the text of /proc/stat."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, stat.split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def settle(directory: Path, size: int) -> None:
    """Writes out what earlier runs left, and touches as many bytes of page cache as the next will write.

    A virtual machine's first write to a page that it has not used lately is many times slower than the next.
    """
    os.sync()
    scratch = directory / "scratch"
    block = bytes(1 << 20)
    try:
        with scratch.open("wb", buffering=0) as file:
            for _ in range(-(-size // len(block))):
                file.write(block)
    finally:
        scratch.unlink(missing_ok=True)


def _listed(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))
