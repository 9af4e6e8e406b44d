"""Manifests that every server has resolved, by tag and by digest: rate, latency, cost of each."""

import time
from collections.abc import Iterator
from functools import partial
from itertools import product

from tests.bench import ask, machine
from tests.bench.bench import Bench
from tests.bench.case import GENERATOR, Case, Metric, Sample
from tests.bench.figures import percentile
from tests.bench.load.hammer import hammer
from tests.bench.servers.nginx import Nginx
from tests.bench.servers.penstock import Penstock
from tests.bench.servers.registry import PlainRegistry, ProxyRegistry
from tests.bench.servers.server import Server

TITLE = "Warm manifests"
LAYERS = 12
RATE = Metric("rate", "requests/s")
TAIL = Metric("p99", "ms", less=True)
COST = Metric("CPU", "us/request", less=True)


def cases(bench: Bench) -> Iterator[Case]:
    """One case for each method, kind of reference and number of connections."""
    placement = machine.apart()
    with bench.site() as site:
        image = site.add("warm", [4096] * LAYERS, seed=2)
        kinds = (Penstock, Nginx, PlainRegistry, ProxyRegistry)
        with bench.running(site, *kinds, placement=placement, warm="warm") as field:
            references = {"tag": "warm", "digest": str(image.digest)}
            connections = (16,) if bench.quick else (16, 64)
            for method, by, count in product(("GET", "HEAD"), references, connections):
                measure = partial(
                    request, method=method, reference=references[by], connections=count, seconds=bench.seconds
                )
                yield Case(f"{method} by {by}, {count} connections", placement, field.servers, measure)


def request(
    server: Server, _round: int, *, method: str, reference: str, connections: int, seconds: float
) -> Sample:
    """Keeps one request under way on each connection for so long (s)."""
    message = ask.manifest(server, reference, method)
    generator = time.process_time()
    with server.watched() as usage:
        done = hammer(server.address, message, connections, seconds)
    generator = time.process_time() - generator
    count = len(done.latencies)
    return {
        RATE: count / done.seconds,
        TAIL: percentile(done.latencies, 0.99) * 1e3,
        COST: usage.cpu_seconds / count * 1e6,
        GENERATOR: generator / done.seconds,
    }
