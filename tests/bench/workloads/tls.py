"""Warm blobs over TLS."""

from collections.abc import Iterator
from functools import partial

from clients.oci.digest import Digest
from tests.bench import ask, machine
from tests.bench.bench import Bench
from tests.bench.case import Case, Sample
from tests.bench.content import MiB
from tests.bench.load.sealed import drain_sealed
from tests.bench.servers.nginx import Nginx
from tests.bench.servers.penstock import Penstock
from tests.bench.servers.registry import PlainRegistry
from tests.bench.servers.server import Server
from tests.bench.tls import self_signed
from tests.bench.workloads.warm_blobs import sample

TITLE = "Warm blobs over TLS"
CONNECTIONS = 8


def cases(bench: Bench) -> Iterator[Case]:
    """One size, one number of connections; the load generator does not decrypt."""
    certificate = self_signed(bench.directory)
    if certificate is None:
        bench.leave_out("TLS: there is no openssl command to make a certificate with")
        return
    placement = machine.apart()
    with bench.site() as site:
        image = site.add("warm", [100 * MiB], seed=4)
        kinds = (Penstock, Nginx, PlainRegistry)
        with bench.running(site, *kinds, placement=placement, warm="warm", certificate=certificate) as field:
            measure = partial(sealed, digest=image.layers[0].digest, size=100 * MiB, seconds=bench.seconds)
            yield Case(f"100 MiB, {CONNECTIONS} connections", placement, field.servers, measure)


def sealed(server: Server, _round: int, *, digest: Digest, size: int, seconds: float) -> Sample:
    """Keeps a transfer under way on each connection for so long (s)."""
    request = ask.blob(server, digest, Connection="close")
    return sample(server, lambda: drain_sealed(server.address, request, size, CONNECTIONS, seconds))
