"""Warm blobs from as many worker processes as cores, beside one nginx process."""

import os
from collections.abc import Iterator
from functools import partial

from tests.bench import machine
from tests.bench.bench import Bench
from tests.bench.case import Case
from tests.bench.content import MiB
from tests.bench.servers.nginx import Nginx, SingleNginx
from tests.bench.servers.penstock import Penstock
from tests.bench.workloads.warm_blobs import stream

TITLE = "Warm blobs from a worker a core"


def cases(bench: Bench) -> Iterator[Case]:
    """Servers and load share the cores, so what nginx leaves of the second is the load generator's."""
    placement = machine.shared()
    workers = os.cpu_count() or 1
    sizes = (100,) if bench.quick else (1, 100)
    with bench.site() as site:
        image = site.add("warm", [size * MiB for size in sizes], seed=6)
        kinds = (Penstock, SingleNginx, Nginx)
        with bench.running(site, *kinds, placement=placement, warm="warm", workers=workers) as field:
            for size, layer in zip(sizes, image.layers, strict=True):
                for connections in (8,) if bench.quick else (8, 64):
                    measure = partial(
                        stream, digest=layer.digest, connections=connections, seconds=bench.seconds
                    )
                    name = f"{size} MiB, {connections} connections, {workers} workers"
                    yield Case(name, placement, field.servers, measure)
