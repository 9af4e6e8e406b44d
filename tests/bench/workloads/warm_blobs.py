"""Blobs that every server has, with their pages in memory: how fast, and for how much processor time."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from clients.oci.digest import Digest
from tests.bench import ask, machine
from tests.bench.bench import Bench
from tests.bench.case import GENERATOR, Case, Metric, Sample
from tests.bench.content import MiB
from tests.bench.load.drain import Drained, drain
from tests.bench.servers.nginx import Nginx
from tests.bench.servers.penstock import Penstock
from tests.bench.servers.registry import PlainRegistry, ProxyRegistry
from tests.bench.servers.server import Server

TITLE = "Warm blobs"
THROUGHPUT = Metric("throughput", "GB/s")
COST = Metric("CPU", "s/GB", less=True)


def cases(bench: Bench) -> Iterator[Case]:
    """One case for each size and number of connections; one process where a server has that choice."""
    sizes = (1, 100) if bench.quick else (1, 100, 1024)
    placement = machine.apart()
    with bench.site() as site:
        image = site.add("warm", [size * MiB for size in sizes], seed=1)
        kinds = (Penstock, Nginx, PlainRegistry, ProxyRegistry)
        with bench.running(site, *kinds, placement=placement, warm="warm") as field:
            for size, layer in zip(sizes, image.layers, strict=True):
                for connections in (8,) if bench.quick else (1, 8, 64):
                    measure = partial(
                        stream, digest=layer.digest, connections=connections, seconds=bench.seconds
                    )
                    yield Case(f"{size} MiB, {connections} connections", placement, field.servers, measure)


def stream(server: Server, _round: int, *, digest: Digest, connections: int, seconds: float) -> Sample:
    """Keeps a transfer of one blob under way on each connection for so long (s)."""
    queues = [ask.endless(ask.blob(server, digest))] * connections
    return sample(server, lambda: drain(server.address, queues, seconds=seconds))


def sample(server: Server, load: Callable[[], Drained]) -> Sample:
    """Gives the figures of a run that only transfers."""
    generator = time.process_time()
    with server.watched() as usage:
        drained = load()
    generator = time.process_time() - generator
    gigabytes = drained.size / 1e9
    return {
        THROUGHPUT: gigabytes / drained.seconds,
        COST: usage.cpu_seconds / gigabytes,
        GENERATOR: generator / drained.seconds,
    }
