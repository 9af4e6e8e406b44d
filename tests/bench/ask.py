"""Requests for the content of a site, and single answers that are checked to the byte."""

import http.client
import ssl
from collections.abc import Mapping
from itertools import repeat
from typing import TYPE_CHECKING

from clients.oci.digest import Digest
from tests.bench.content import blob_path, manifest_path
from tests.bench.load import message
from tests.bench.load.drain import drain
from tests.bench.load.message import LoadFailed
from tests.fakes.images import Image

if TYPE_CHECKING:
    from tests.bench.servers.server import Server


def version(server: "Server") -> bytes:
    """The request that asks whether this is a registry, and whether the client is known."""
    return _request(server, "GET", "/v2/", {})


def blob(server: "Server", digest: Digest, **headers: str) -> bytes:
    """The request for a blob."""
    return _request(server, "GET", blob_path(digest), headers)


def manifest(server: "Server", reference: str, method: str = "GET") -> bytes:
    """The request for a manifest."""
    return _request(server, method, manifest_path(reference), {})


def fetch(server: "Server", *requests: bytes) -> None:
    """Sends requests one after the other on one connection, as a warm-up; raises LoadFailed."""
    drain(server.address, [iter(requests)])


def warm(server: "Server", image: Image, tag: str) -> None:
    """Pulls a whole image twice, so that it is warm wherever a server keeps that; checks every digest."""
    for reference in (tag, str(image.digest)):
        _verify(server, manifest_path(reference), image.digest)
    for digest in image.blobs:
        _verify(server, blob_path(digest), digest)
    for digest in image.blobs:
        fetch(server, blob(server, digest))


def endless(request: bytes) -> "repeat[bytes]":
    """A queue of one request, again and again."""
    return repeat(request)


def _request(server: "Server", method: str, path: str, headers: Mapping[str, str]) -> bytes:
    return message.request(method, path, str(server.address), {**server.headers, **headers})


def _verify(server: "Server", path: str, digest: Digest) -> None:
    address = server.address
    connection = (
        http.client.HTTPSConnection(address.host, address.port, timeout=120, context=address.tls)
        if isinstance(address.tls, ssl.SSLContext)
        else http.client.HTTPConnection(address.host, address.port, timeout=120)
    )
    try:
        connection.request("GET", path, headers={"Accept": message.MANIFEST_TYPES, **server.headers})
        response = connection.getresponse()
        hasher = digest.hasher()
        while piece := response.read(1 << 20):
            hasher.update(piece)
    finally:
        connection.close()
    if response.status != 200 or hasher.hexdigest() != digest.encoded:
        raise LoadFailed(
            f"GET {path} of {server.name} gave {response.status} with digest {hasher.hexdigest()}"
        )
