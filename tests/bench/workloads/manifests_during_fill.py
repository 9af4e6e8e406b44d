"""Warm manifests while the server fetches a large blob from its upstream: how long the unlucky wait."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.bench import ask, machine
from tests.bench.bench import Bench
from tests.bench.case import Case, Metric, Sample
from tests.bench.content import MiB, Site
from tests.bench.figures import percentile
from tests.bench.load.address import Address
from tests.bench.load.drain import drain
from tests.bench.load.hammer import hammer
from tests.bench.load.message import LoadFailed
from tests.bench.servers.penstock import Penstock
from tests.bench.servers.registry import ProxyRegistry
from tests.bench.servers.server import Server

TITLE = "Warm manifests during a cold fill"
CONNECTIONS = 64
ROUNDS = 3
RATE = Metric("rate", "requests/s")
TAIL = Metric("p99", "ms", less=True)
FILL = Metric("fill", "s", less=True)
# Length of one look at the manifests, in s; they are repeated for as long as the fill takes.
_LOOK = 0.2


def cases(bench: Bench) -> Iterator[Case]:
    """GET by digest at 64 connections; servers, upstream and load share the cores."""
    placement = machine.shared()
    size = (64 if bench.quick else 1024) * MiB
    with bench.site() as site:
        warm_image = site.add("warm", [4096] * 12, seed=300)
        for number in range(min(bench.rounds, ROUNDS)):
            site.add(f"cold-{number}", [size], seed=301 + number, blobs=False)
        workers = os.cpu_count() or 1
        with bench.running(
            site, Penstock, ProxyRegistry, placement=placement, warm="warm", workers=workers
        ) as field:
            name = f"GET by digest, {CONNECTIONS} connections, {size // MiB} MiB"
            measure = partial(disturbed, site=site, reference=str(warm_image.digest))
            yield Case(name, placement, field.servers, measure, rounds=1 if bench.quick else ROUNDS)


def disturbed(server: Server, number: int, *, site: Site, reference: str) -> Sample:
    """Asks for the manifest from the start of the fill of this round's blob to its end."""
    tag = f"cold-{number}"
    (layer,) = site.images[tag].layers
    latencies: list[float] = []
    seconds = 0.0
    with site.published(tag):
        ask.fetch(server, ask.manifest(server, tag))
        machine.settle(site.directory, 2 * layer.size)
        started = time.monotonic()
        with _draining(server.address, ask.blob(server, layer.digest)) as under_way:
            while under_way() or not latencies:
                look = hammer(server.address, ask.manifest(server, reference), CONNECTIONS, _LOOK)
                latencies += look.latencies
                seconds += look.seconds
        fill = time.monotonic() - started
    return {
        RATE: len(latencies) / seconds,
        TAIL: percentile(sorted(latencies), 0.99) * 1e3,
        FILL: fill,
    }


@contextmanager
def _draining(address: Address, request: bytes) -> Iterator[Callable[[], bool]]:
    # Drains one response in a process of its own; gives what tells whether that is under way.
    child = multiprocessing.get_context("fork").Process(target=drain, args=(address, [iter([request])]))
    child.start()
    try:
        yield child.is_alive
    except BaseException:
        child.kill()
        raise
    finally:
        child.join()
    if child.exitcode != 0:
        raise LoadFailed("the blob did not arrive while manifests were asked for")
