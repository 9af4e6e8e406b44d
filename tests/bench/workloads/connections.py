"""Many connections at once: what each costs a server in memory of its own, kernel buffers apart."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

from tests.bench import ask, machine
from tests.bench.bench import Bench
from tests.bench.case import Case, Metric, Sample
from tests.bench.content import MiB
from tests.bench.load import crowd
from tests.bench.load.hammer import hammer
from tests.bench.servers.nginx import Nginx
from tests.bench.servers.penstock import Penstock
from tests.bench.servers.registry import ProxyRegistry
from tests.bench.servers.server import Server

TITLE = "Idle and slow clients"
MEMORY = Metric("memory", "KiB/connection", less=True)
# A run needs a server that has had no crowd before, which takes time, and its figures hardly vary.
ROUNDS = 2
SLOW_SECONDS = 2.0
# What a crowd still makes a server do after the last answer.
PAUSE = 0.5


def cases(bench: Bench) -> Iterator[Case]:
    """2,000 and 5,000 idle connections, and 500 slow readers of a large blob (fewer in a quick run)."""
    placement = machine.shared()
    crowds, slow, size = ((500,), 100, 100) if bench.quick else ((2000, 5000), 500, 1024)
    with bench.site() as site:
        image = site.add("warm", [size * MiB], seed=3)
        kinds = (Penstock, Nginx, ProxyRegistry)
        with bench.running(site, *kinds, placement=placement, warm="warm") as field:

            def idling(server: Server, count: int) -> AbstractContextManager[None]:
                return crowd.idle(server.address, ask.manifest(server, str(image.digest)), count)

            def reading(server: Server, count: int) -> AbstractContextManager[None]:
                request = ask.blob(server, image.layers[0].digest)
                return crowd.slow(server.address, request, count, SLOW_SECONDS)

            for name, count, gather in (
                *(("idle", idle, idling) for idle in crowds),
                ("slow readers", slow, reading),
            ):
                measure = partial(memory, count=count, gather=gather)
                yield Case(
                    f"{count:,} {name}",
                    placement,
                    field.servers,
                    measure,
                    rounds=1 if bench.quick else ROUNDS,
                )


def memory(
    server: Server, _round: int, *, count: int, gather: Callable[[Server, int], AbstractContextManager[None]]
) -> Sample:
    """Restarts the server, uses it a little, and sees how its memory grows with a crowd."""
    server.restart()
    hammer(server.address, ask.manifest(server, "warm"), 16, PAUSE)
    before = machine.anonymous_memory(server.family())
    with gather(server, count):
        time.sleep(PAUSE)
        grown = machine.anonymous_memory(server.family()) - before
    return {MEMORY: max(grown, 0) / 1024 / count}
