"""What this process holds open: regular files and TCP sockets, as the kernel tells it."""

import gc
import os
import socket
import time
from pathlib import Path

# Sockets that a library closes in the background, and files that it drops with its last reference.
_PATIENCE = 10.0
# Seconds between two looks, the first and the longest, and for how long what is open may be closed by itself.
_FIRST, _LONGEST, _BY_ITSELF = 0.001, 0.2, 0.05

Open = frozenset[tuple[int, str]]


def open_now() -> Open:
    """Descriptors of regular files and TCP sockets; pipes, pollers and the like belong to event loops."""
    found = set()
    for entry in os.scandir("/proc/self/fd"):
        descriptor = int(entry.name)
        try:
            target = str(Path(entry.path).readlink())
            counts = _is_regular(target) or (target.startswith("socket:") and _is_tcp(descriptor))
        except OSError:
            # It was closed meanwhile.
            continue
        if counts:
            found.add((descriptor, target))
    return frozenset(found)


def left_open(before: Open) -> Open:
    """What is open now, was not before, and stays so although it was given some time."""
    began, pause = time.monotonic(), _FIRST
    while left := open_now() - before:
        waited = time.monotonic() - began
        if waited > _PATIENCE:
            return left
        if waited > _BY_ITSELF:
            gc.collect()
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)
    return frozenset()


def _is_regular(target: str) -> bool:
    return target.startswith("/") and not target.startswith(("/dev/", "/proc/", "/sys/"))


def _is_tcp(descriptor: int) -> bool:
    looked_at = socket.socket(fileno=descriptor)
    try:
        return looked_at.family in (socket.AF_INET, socket.AF_INET6) and looked_at.type == socket.SOCK_STREAM
    finally:
        looked_at.detach()
