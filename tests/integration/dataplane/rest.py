"""A node at rest: what it must not hold on to, or leave in its directory, when it has nothing to do."""

import asyncio
import inspect
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.servers.requirement import ROOT

_OURS = tuple(f"{ROOT / folder}{os.sep}" for folder in ("dataplane", "clients"))

_OF_BLOBS = ("/sha256/", "/sha512/", ".spool", ".claim")


def unfinished(data_dir: Path) -> list[str]:
    """Files of fetches, and of what is written beside its place and then renamed (see `replace`)."""
    names = [str(path.relative_to(data_dir)) for path in data_dir.rglob("*") if path.is_file()]
    return [name for name in names if name.endswith((".spool", ".claim")) or "/." in f"/{name}"]


def blobs_open(data_dir: Path, pids: Iterable[int]) -> list[str]:
    """Blobs, whole or not, that one of these processes has open, or maps."""
    folder = f"{data_dir / 'blobs'}{os.sep}"
    found = []
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found.append(str(entry.readlink()))
            except FileNotFoundError:
                continue
    # Also one whose name was taken away.
    return [name for name in found if name.startswith(folder) and any(part in name for part in _OF_BLOBS)]


def descriptors(pids: Iterable[int]) -> int:
    """How many files of any kind these processes have open."""
    return sum(1 for pid in pids for _ in Path(f"/proc/{pid}/fd").iterdir())


def tasks() -> Counter[str]:
    """Tasks of this process that run functions of a node, by the function's name."""
    found: Counter[str] = Counter()
    for task in asyncio.all_tasks():
        running = task.get_coro()
        if inspect.iscoroutine(running) and running.cr_code.co_filename.startswith(_OURS):
            found[running.cr_code.co_qualname] += 1
    return found
