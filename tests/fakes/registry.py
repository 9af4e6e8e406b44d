"""An upstream registry on a real socket of this machine, which counts what it is asked and errs on demand.

`python -m tests.fakes.registry` runs one with a generated image, for demonstrations.
"""

import argparse
import asyncio
import json
import re
import signal
import ssl
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from aiohttp import web

from clients.oci.media_types import OCI_INDEX
from tests.fakes.blobs import BytesBlob
from tests.fakes.contents import Repository
from tests.fakes.faults import Fault, Faults
from tests.fakes.gates import Gate, Refusal
from tests.fakes.images import Image, make_image, make_index
from tests.fakes.secrets import occurs
from tests.fakes.sending import Answer, send
from tests.fakes.tokens import TokenService

_PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs|tags|referrers)/(?P<reference>[^/]+)")

# Seconds that transfers under way get when the registry stops.
_GRACE = 0.05


@dataclass
class Request:
    """One request that the registry got, and what came of it so far."""

    method: str
    # As sent, with the query.
    path: str
    # "version", "manifests", "blobs", "tags", "referrers", "token" or "other".
    kind: str
    repository: str
    reference: str
    # Case-insensitive.
    headers: Mapping[str, str]
    # 0 until answered.
    status: int = 0
    # Bytes of body handed to the connection.
    sent: int = 0


class FakeRegistry:
    """Serves the images it is given; an async context manager.

    `requests` holds every request since the start (or since the caller cleared it). Setting `tokens` makes
    it want Bearer tokens, `gate` another authentication, `page_size` limits its tag pages, `referrers` and
    `ranges` switch these off.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.faults = Faults()
        self.tokens: TokenService | None = None
        self.gate: Gate | None = None
        self.page_size: int | None = None
        self.referrers = True
        self.ranges = True
        self.repositories: dict[str, Repository] = {}
        self._address = host
        self._port = port
        self._ssl_context = ssl_context
        self._runner: web.ServerRunner | None = None
        # Set, and replaced, with each request.
        self._news: asyncio.Event | None = None

    @property
    def host(self) -> str:
        """Host and port, as an upstream is written."""
        return f"{self._address}:{self._port}"

    @property
    def base_url(self) -> str:
        return f"{'https' if self._ssl_context else 'http'}://{self.host}"

    def add(self, image: Image, repository: str, tags: Iterable[str] = ()) -> Image:
        """Takes an image with all that it points at, and moves the tags to it; returns the image."""
        self.repositories.setdefault(repository, Repository()).add(image, tags)
        return image

    def remove_tag(self, repository: str, tag: str) -> None:
        del self.repositories[repository].tags[tag]

    def count(self, method: str = "", kind: str = "") -> int:
        """Tells how many requests of a method and kind there were; "" is any."""
        return sum(method in ("", seen.method) and kind in ("", seen.kind) for seen in self.requests)

    async def asked(self, kind: str, times: int = 1) -> None:
        """Waits until there were so many requests of a kind."""
        while self.count(kind=kind) < times:
            self._news = self._news or asyncio.Event()
            await self._news.wait()

    def saw(self, secret: str) -> bool:
        """Whether a secret was in the path or a header of any request, in whatever form."""
        return any(occurs(secret, f"{seen.path}\n{dict(seen.headers)}".encode()) for seen in self.requests)

    def totals(self) -> dict[str, int]:
        """The number of requests by method and kind, as `GET blobs`."""
        return Counter(f"{seen.method} {seen.kind}" for seen in self.requests)

    @property
    def bytes_sent(self) -> int:
        """Bytes of blobs handed to clients."""
        return sum(seen.sent for seen in self.requests if seen.kind == "blobs")

    async def start(self) -> None:
        """Listens; after a stop, on the same port as before."""
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None, handler_cancellation=True), shutdown_timeout=_GRACE
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._address, self._port, ssl_context=self._ssl_context)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Ends every connection and listens no more."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = _classify(request)
        self.requests.append(seen)
        if self._news is not None:
            self._news.set()
            self._news = None
        if seen.kind != "token" and self.tokens is not None and not self.tokens.accepts(seen.headers):
            # Uses up no fault: those are for what comes of the request once it is let in.
            answer = _error(401, "UNAUTHORIZED")
            answer.headers["WWW-Authenticate"] = self.tokens.challenge_for(self.base_url, seen.repository)
            return await send(request, Fault(), answer, seen)
        refusal = self.gate.refuse(seen.headers, seen.repository) if self.gate is not None else None
        if refusal is not None:
            return await send(request, Fault(), _refused(refusal), seen)
        fault = self.faults.take(seen.method, seen.kind, seen.reference)
        if seen.kind == "token" and self.tokens is not None and fault.status is None:
            answer = _json(self.tokens.issue())
        else:
            answer = self._answer(seen, request.query)
        return await send(request, fault, answer, seen)

    def _answer(self, seen: Request, query: Mapping[str, str]) -> Answer:
        if seen.kind == "version":
            return _json({})
        repository = self.repositories.get(seen.repository)
        if repository is None:
            return _error(404, "NAME_UNKNOWN")
        if seen.method not in ("GET", "HEAD"):
            return _error(405, "UNSUPPORTED")
        match seen.kind:
            case "manifests":
                return _manifest(repository, seen.reference)
            case "blobs":
                return self._blob(repository, seen.reference)
            case "tags" if seen.reference == "list":
                return self._tags(repository, seen.repository, query)
            case "referrers" if self.referrers:
                content = repository.referrers(seen.reference, query.get("artifactType", ""))
                return Answer(200, BytesBlob(content), {"Content-Type": OCI_INDEX})
        return _error(404, "UNSUPPORTED")

    def _blob(self, repository: Repository, digest: str) -> Answer:
        blob = repository.blobs.get(digest)
        if blob is None:
            return _error(404, "BLOB_UNKNOWN")
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        headers["ETag"] = f'"{digest}"'
        if self.ranges:
            headers["Accept-Ranges"] = "bytes"
        return Answer(200, blob, headers, ranges=self.ranges)

    def _tags(self, repository: Repository, name: str, query: Mapping[str, str]) -> Answer:
        limits = [limit for limit in (self.page_size, int(query.get("n") or -1)) if limit and limit >= 0]
        tags, more = repository.tag_page(query.get("last", ""), min(limits, default=None))
        answer = _json({"name": name, "tags": tags})
        if more:
            following = f"/v2/{name}/tags/list?n={len(tags)}&last={tags[-1]}"
            answer.headers["Link"] = f'<{following}>; rel="next"'
        return answer


def _classify(request: web.BaseRequest) -> Request:
    seen = Request(request.method, request.raw_path, "other", "", "", request.headers)
    path = request.path
    if path in ("/v2/", "/v2"):
        seen.kind = "version"
    elif path == "/token":
        seen.kind = "token"
    elif match := _PATH.fullmatch(path):
        seen.kind, seen.repository, seen.reference = match["kind"], match["repository"], match["reference"]
    return seen


def _manifest(repository: Repository, reference: str) -> Answer:
    image = repository.manifest(reference)
    if image is None:
        return _error(404, "MANIFEST_UNKNOWN")
    headers = {"Content-Type": image.media_type, "Docker-Content-Digest": str(image.digest)}
    return Answer(200, BytesBlob(image.manifest), headers)


def _json(document: object, status: int = 200) -> Answer:
    return Answer(status, BytesBlob(json.dumps(document).encode()), {"Content-Type": "application/json"})


def _refused(refusal: Refusal) -> Answer:
    answer = _json({"errors": [{"code": refusal.code, "message": refusal.message}]}, refusal.status)
    if refusal.challenge:
        answer.headers["WWW-Authenticate"] = refusal.challenge
    return answer


def _error(status: int, code: str) -> Answer:
    return _json({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}, status)


async def _serve(arguments: argparse.Namespace) -> None:
    layers = [arguments.layer_mib * 1024 * 1024] * arguments.layers
    platforms = [("linux", "amd64"), ("linux", "arm64", "v8")]
    images = [make_image(layers, platform, seed) for seed, platform in enumerate(platforms)]
    registry = FakeRegistry(port=arguments.port)
    registry.add(make_index(images), arguments.repository, [arguments.tag])
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with registry:
        print(json.dumps({"address": registry.host, "repository": arguments.repository}), flush=True)
        await stopped.wait()
        print(json.dumps({"requests": registry.totals(), "blob_bytes": registry.bytes_sent}), flush=True)


def main() -> None:
    """Serves a two-platform image until SIGTERM; prints the address, and at the end what was asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.registry", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--repository", default="demo/app")
    parser.add_argument("--tag", default="1.0")
    parser.add_argument("--layers", type=int, default=3, help="layers of each platform's image")
    parser.add_argument("--layer-mib", type=int, default=16)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
