"""A blob that no cache has: one client, and many at once."""

import os
import statistics
import time
from collections.abc import Iterator
from functools import partial

from tests.bench import ask, machine
from tests.bench.bench import Bench
from tests.bench.case import GENERATOR, Case, Metric, Sample
from tests.bench.content import MiB, Site
from tests.bench.load.drain import drain
from tests.bench.servers.nginx import UpstreamNginx
from tests.bench.servers.penstock import Penstock
from tests.bench.servers.registry import ProxyRegistry
from tests.bench.servers.server import Server

TITLE = "Cold blob"
THROUGHPUT = Metric("throughput", "GB/s")
COST = Metric("CPU", "s/GB", less=True)
FIRST_BYTE = Metric("median first byte", "ms", less=True)
TOTAL = Metric("last client done", "ms", less=True)
FETCHED = Metric("upstream bytes", "x blob", less=True)
ASKED = Metric("upstream requests", "GETs", less=True)


def cases(bench: Bench) -> Iterator[Case]:
    """One case for each number of clients; every run has a blob of its own, and a server all cores."""
    placement = machine.shared()
    size = (64 if bench.quick else 200) * MiB
    crowds = (1, 32)
    with bench.site() as site:
        tags = {
            (clients, number): f"cold-{clients}-{number}"
            for clients in crowds
            for number in range(bench.rounds)
        }
        for seed, tag in enumerate(tags.values(), 100):
            site.add(tag, [size], seed, blobs=False)
        workers = os.cpu_count() or 1
        with bench.running(site, Penstock, ProxyRegistry, placement=placement, workers=workers) as field:
            for clients in crowds:
                measure = partial(cold, site=site, upstream=field.upstream, clients=clients)
                yield Case(f"{size // MiB} MiB, {clients} clients", placement, field.servers, measure)


def cold(server: Server, number: int, *, site: Site, upstream: UpstreamNginx, clients: int) -> Sample:
    """Has so many clients pull the blob of this round at once, each on a connection of its own."""
    tag = f"cold-{clients}-{number}"
    (layer,) = site.images[tag].layers
    with site.published(tag):
        # Caches learn from a manifest what a repository holds.
        ask.fetch(server, ask.manifest(server, tag))
        machine.settle(site.directory, 2 * layer.size)
        before = upstream.sent_blob(layer.digest)
        generator = time.process_time()
        with server.watched() as usage:
            drained = drain(server.address, [iter([ask.blob(server, layer.digest)]) for _ in range(clients)])
            generator = time.process_time() - generator
            server.wait_until_quiet()
        fetched = upstream.sent_blob(layer.digest)[len(before) :]
    return {
        THROUGHPUT: drained.size / 1e9 / drained.seconds,
        COST: usage.cpu_seconds / (drained.size / 1e9),
        FIRST_BYTE: statistics.median(one.first_byte - one.started for one in drained.transfers) * 1e3,
        TOTAL: drained.seconds * 1e3,
        FETCHED: sum(one.size for one in fetched) / layer.size,
        ASKED: len(fetched),
        GENERATOR: generator / drained.seconds,
    }
