"""A whole image of 12 layers, pulled as an engine pulls it: the manifest, then three blobs at a time."""

from collections.abc import Iterator
from functools import partial

from tests.bench import ask, machine
from tests.bench.bench import Bench
from tests.bench.case import Case, Metric, Sample
from tests.bench.content import MiB, Site
from tests.bench.load.drain import drain
from tests.bench.servers.nginx import Nginx
from tests.bench.servers.penstock import Penstock
from tests.bench.servers.registry import PlainRegistry, ProxyRegistry
from tests.bench.servers.server import Server
from tests.fakes.images import Image

TITLE = "A whole image"
LAYERS = [int(size * MiB) for size in (48, 32, 24, 16, 16, 8, 8, 4, 2, 1, 0.25, 0.01)]
PARALLEL = 3
TOTAL = Metric("pull", "ms", less=True)
COST = Metric("CPU", "s/GB", less=True)


def cases(bench: Bench) -> Iterator[Case]:
    """The image when no cache has it, and when all have; a server has all cores."""
    placement = machine.shared()
    layers = [size // 4 for size in LAYERS] if bench.quick else LAYERS
    name = f"{len(layers)} layers, {sum(layers) // MiB} MiB"
    with bench.site() as site:
        warm_image = site.add("warm", layers, seed=200)
        for number in range(bench.rounds):
            site.add(f"cold-{number}", layers, seed=201 + number, blobs=False)
        kinds = (Penstock, ProxyRegistry, PlainRegistry, Nginx)
        with bench.running(site, *kinds, placement=placement, warm="warm") as field:
            caches = [server for server in field.servers if isinstance(server, Penstock | ProxyRegistry)]
            yield Case(f"cold: {name}", placement, caches, partial(cold, site=site))
            yield Case(f"warm: {name}", placement, field.servers, partial(warm, image=warm_image))


def cold(server: Server, number: int, *, site: Site) -> Sample:
    """Pulls the image of this round."""
    tag = f"cold-{number}"
    with site.published(tag):
        machine.settle(site.directory, 2 * sum(LAYERS))
        return pull(server, tag, site.images[tag])


def warm(server: Server, _round: int, *, image: Image) -> Sample:
    """Pulls the image that all have."""
    return pull(server, "warm", image)


def pull(server: Server, tag: str, image: Image) -> Sample:
    """Pulls by tag, all blobs included."""
    blobs = iter([ask.blob(server, digest) for digest in image.blobs])
    with server.watched() as usage:
        manifest = drain(server.address, [iter([ask.manifest(server, tag)])])
        content = drain(server.address, [blobs] * PARALLEL)
        server.wait_until_quiet()
    return {
        TOTAL: (manifest.seconds + content.seconds) * 1e3,
        COST: usage.cpu_seconds / (content.size / 1e9),
    }
