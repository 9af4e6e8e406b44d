"""What this process holds open: regular files and TCP sockets, as the kernel tells it."""

import gc
import time
from pathlib import Path

# Sockets that a library closes in the background, and files that it drops with its last reference.
_PATIENCE = 3.0

Open = frozenset[tuple[int, str]]


def open_now() -> Open:
    """Descriptors of regular files and TCP sockets; pipes, pollers and the like belong to event loops."""
    tcp = _tcp_inodes()
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        if _is_regular(target) or target in tcp:
            found.add((int(entry.name), target))
    return frozenset(found)


def left_open(before: Open) -> Open:
    """What is open now, was not before, and stays so although it was given some time."""
    deadline = time.monotonic() + _PATIENCE
    while left := open_now() - before:
        gc.collect()
        if time.monotonic() > deadline:
            return left
        time.sleep(0.02)
    return frozenset()


def _is_regular(target: str) -> bool:
    return target.startswith("/") and not target.startswith(("/dev/", "/proc/", "/sys/"))


def _tcp_inodes() -> frozenset[str]:
    inodes = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        if Path(table).exists():
            rows = Path(table).read_text().splitlines()[1:]
            inodes |= {f"socket:[{row.split()[9]}]" for row in rows}
    return frozenset(inodes)
