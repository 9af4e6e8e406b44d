"""Blobs that are in S3: through a node without them on its disk, from its disk, redirected, and S3 alone."""

import http.client
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest import mock
from urllib.parse import urlsplit

from clients.oci.digest import Digest
from tests.bench import ask, machine
from tests.bench.bench import Bench
from tests.bench.case import Case, Metric, Sample
from tests.bench.content import MiB, Site, blob_path
from tests.bench.load.address import Address
from tests.bench.load.drain import Drained, drain
from tests.bench.load.message import LoadFailed, request
from tests.bench.servers.penstock import Penstock
from tests.bench.servers.s3 import GATEWAY, Gateway
from tests.bench.servers.server import Server, Setup
from tests.servers import http as plain

TITLE = "Blobs in S3"
THROUGHPUT = Metric("throughput", "GB/s")
COST = Metric("node's CPU", "s/GB", less=True)
_PATIENCE = 60.0


class Redirected(Penstock):
    """A node that sends every client to S3; it is also the one that puts blobs there."""

    name = "penstock, redirecting"

    def put(self, digest: Digest) -> None:
        """Has a blob in the bucket."""
        before = self._uploads()
        ask.fetch(self, ask.blob(self, digest))
        deadline = time.monotonic() + _PATIENCE
        while self._uploads() == before:
            if time.monotonic() > deadline:
                raise LoadFailed(f"{digest} was not put into the bucket within {_PATIENCE:g} s")
            time.sleep(0.05)

    def location(self, digest: Digest) -> tuple[Address, bytes]:
        """Asks for a blob; gives where it is said to be, and the request for it there."""
        connection = http.client.HTTPConnection(self.address.host, self.address.port, timeout=_PATIENCE)
        try:
            connection.request("GET", blob_path(digest), headers=dict(self.headers))
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        url = urlsplit(answer.getheader("Location", ""))
        if answer.status != 307:
            raise LoadFailed(f"{self.name} answered {answer.status} for {digest}")
        return Address.parse(url.netloc), request("GET", f"{url.path}?{url.query}", url.netloc, {})

    def _uploads(self) -> float:
        text = plain.request(self._penstock.node, "GET", "/metrics").body.decode()
        name = "penstock_node_bucket_uploads_total "
        return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))


def cases(bench: Bench) -> Iterator[Case]:
    """A first pull of what is in the bucket, and later ones; each beside redirects and S3 itself."""
    placement = machine.shared()
    size = (16 if bench.quick else 100) * MiB
    with bench.site() as site, _gateway(site) as gateway:
        layers = [
            site.add(f"s3-{number}", [size], seed=300 + number).layers[0] for number in range(bench.rounds)
        ]
        where = {"BLOB_STORE": f"s3://{gateway.bucket}/cache", "S3_ENDPOINT": gateway.url}
        # The one that is measured has nothing on its disk.
        tiered = type("Tiered", (Penstock,), {"settings": where})
        redirecting = type("Redirecting", (Redirected,), {"settings": {**where, "S3_REDIRECT": "always"}})
        with bench.running(site, tiered, redirecting, placement=placement) as field:
            node, sender = field.servers
            assert isinstance(sender, Redirected)
            for number, layer in enumerate(layers):
                ask.fetch(sender, ask.manifest(sender, f"s3-{number}"))
                ask.fetch(node, ask.manifest(node, f"s3-{number}"))
                sender.put(layer.digest)
            servers = [node, sender, gateway]
            digests = [layer.digest for layer in layers]
            measure = partial(pull, digests=digests, sender=sender)
            name = f"{size // MiB} MiB of {GATEWAY}, 1 client"
            yield Case(f"not on the node's disk, {name}", placement, servers, measure)
            yield Case(f"on the node's disk, {name}", placement, servers, measure)


def pull(server: Server, number: int, *, digests: list[Digest], sender: Redirected) -> Sample:
    """Pulls the blob of this round, however this server has it pulled."""
    digest = digests[number]
    # The gateway wants what it is asked signed; who signs it is not what is measured.
    direct = sender.location(digest) if isinstance(server, Gateway) else None
    with server.watched() as usage:
        started = time.monotonic()
        if direct is not None:
            drained = _drained(*direct)
        elif isinstance(server, Redirected):
            drained = _drained(*server.location(digest))
        else:
            drained = _drained(server.address, ask.blob(server, digest))
        seconds = time.monotonic() - started
        if not isinstance(server, Gateway | Redirected):
            # It goes on to put on its disk what it has sent.
            server.wait_until_quiet()
    gigabytes = drained.size / 1e9
    sample: Sample = {THROUGHPUT: gigabytes / seconds}
    return sample if direct is not None else {**sample, COST: usage.cpu_seconds / gigabytes}


def _drained(address: Address, asked: bytes) -> Drained:
    return drain(address, [iter([asked])])


@contextmanager
def _gateway(site: Site) -> Iterator[Gateway]:
    """Runs the gateway, with what nodes need to use it in the environment."""
    folder = site.directory / "gateway"
    folder.mkdir()
    gateway = Gateway(Setup(folder, site, machine.shared().servers))
    gateway.start()
    try:
        with mock.patch.dict(os.environ, gateway.environment):
            yield gateway
    finally:
        gateway.stop()
