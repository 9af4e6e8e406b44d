"""Ends a node of one process when it hangs, since nobody else sees it; whoever runs it starts it again.

A thread looks after the event loop. It does so from within, as no other process could end the first one of a
container. What never lets go of the interpreter's lock holds up this thread as well, and is not noticed.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from clients.process.exits import Exit
from dataplane.workers.loads import Loads
from dataplane.workers.stacks import Stacks
from dataplane.workers.watchdog import Watchdog, stir

_LOG = logging.getLogger(__name__)

# Seconds that it may take to say why: what hangs may be the log.
_TELLING: Final = 5.0


@asynccontextmanager
async def watched(patience: float) -> AsyncIterator[None]:
    """Have this process end, with a failure's exit code, where its event loop hangs for `patience` seconds.

    For as long as the block runs; 0 for never.
    """
    if not patience:
        yield
        return
    loads = Loads.create(1)
    over = threading.Event()
    stirring = asyncio.create_task(stir(loads, 0))
    # Also where the block hangs at its end, nobody waits for the thread.
    thread = threading.Thread(target=_watch, args=(loads, patience, over), name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        stirring.cancel()
        await asyncio.gather(stirring, return_exceptions=True)
        loads.close()


def _watch(loads: Loads, patience: float, over: threading.Event) -> None:
    watchdog = Watchdog(patience)
    while not over.wait(watchdog.pause):
        if watchdog.look({0: loads.stirred(0)}, time.monotonic()):
            telling = threading.Thread(target=_tell, args=(patience,), daemon=True)
            telling.start()
            telling.join(_TELLING)
            os._exit(Exit.FAILED)


def _tell(patience: float) -> None:
    stacks = Stacks.create()
    stacks.write()
    _LOG.error(
        "The node has done nothing for %g seconds, and ends. It was here:\n%s", patience, stacks.read()
    )
