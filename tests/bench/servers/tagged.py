"""An upstream repository of thousands of tags, each an index of its own.

`python -m tests.bench.servers.tagged` runs it. It answers from memory, at a fraction of what those who ask
spend, and tells what it was asked at /asked; /move?n=50 gives as many tags another index.
"""

import argparse
import asyncio
import hashlib
import json
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from clients.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST

REPOSITORY = "bench/tagged"
_PLATFORMS = ("amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "mips64le")


class Content:
    """The manifests by digest and what each tag stands for."""

    def __init__(self, tags: int) -> None:
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.tags = {f"{number // 100}.{number % 100}.0": self._index(number) for number in range(tags)}
        self._next = tags

    def move(self, count: int) -> None:
        """Gives some tags an index of new images."""
        for tag in list(self.tags)[:count]:
            self.tags[tag] = self._index(self._next)
            self._next += 1

    def _index(self, seed: int) -> str:
        children = []
        for architecture in _PLATFORMS:
            layers = [
                _descriptor(OCI_LAYER_GZIP, f"{seed} {architecture} {layer}".encode()) for layer in range(4)
            ]
            document = {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": _descriptor(OCI_CONFIG, f"{seed} {architecture}".encode()),
                "layers": layers,
            }
            children.append(
                {
                    **self._add(OCI_MANIFEST, document),
                    "platform": {"os": "linux", "architecture": architecture},
                }
            )
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}
        return str(self._add(OCI_INDEX, index)["digest"])

    def _add(self, media_type: str, document: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(document).encode()
        described = _descriptor(media_type, body)
        self.manifests[described["digest"]] = (media_type, body)
        return described


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


class Upstream(asyncio.Protocol):
    """One connection: requests without bodies, one after the other."""

    def __init__(self, content: Content, asked: Counter[str]) -> None:
        self._content = content
        self._asked = asked
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            line, self._pending = self._pending[: self._pending.find(b"\r\n")], self._pending[end + 4 :]
            method, target, _ = line.decode().split(" ")
            self._transport.write(self._answer(method, target))

    def _answer(self, method: str, target: str) -> bytes:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        path = url.path.removeprefix(f"/v2/{REPOSITORY}/")
        kind, _, reference = path.partition("/")
        if kind == "manifests":
            self._asked[f"{method} manifests"] += 1
            digest = self._content.tags.get(reference, reference)
            found = self._content.manifests.get(digest)
            if found is None:
                return _http(404, "application/json", b"{}")
            media_type, body = found
            return _http(200, media_type, body, f"Docker-Content-Digest: {digest}", head=method == "HEAD")
        if kind == "tags":
            self._asked["GET tags"] += 1
            return self._list(int(query.get("n", "1000")), query.get("last", ""))
        if kind == "referrers":
            self._asked["GET referrers"] += 1
            empty = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
            return _http(200, OCI_INDEX, json.dumps(empty).encode())
        if path == "/asked":
            answer = json.dumps(self._asked).encode()
            self._asked.clear()
            return _http(200, "application/json", answer)
        if path == "/move":
            self._content.move(int(query["n"]))
        return _http(200, "application/json", b"{}")

    def _list(self, size: int, last: str) -> bytes:
        names = sorted(name for name in self._content.tags if name > last)
        page, more = names[:size], len(names) > size
        body = json.dumps({"name": REPOSITORY, "tags": page}).encode()
        following = f"/v2/{REPOSITORY}/tags/list?n={size}&last={page[-1]}" if more else ""
        link = [f'Link: <{following}>; rel="next"'] if more else []
        return _http(200, "application/json", body, *link)


def _http(status: int, media_type: str, body: bytes, *headers: str, head: bool = False) -> bytes:
    lines = (f"HTTP/1.1 {status} X", f"Content-Type: {media_type}", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join((*lines, "", "")).encode() + (b"" if head else body)


async def _serve(arguments: argparse.Namespace) -> None:
    content, asked = Content(arguments.tags), Counter[str]()
    server = await asyncio.get_running_loop().create_server(
        lambda: Upstream(content, asked), "127.0.0.1", arguments.port
    )
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.servers.tagged")
    parser.add_argument("--tags", type=int, default=5000)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
