"""One node in this process, between a fake control plane and a fake upstream, and a client that pulls."""

import asyncio
import base64
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from dataplane.node import Node
from dataplane.settings import Settings
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.estate import FakeArtifact
from tests.fakes.images import Image
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane import rest

VARYING = frozenset({"Date", "X-Request-ID"})
"""Headers of an answer that are others at the same request a moment later."""


@dataclass(frozen=True)
class Pulled:
    """An answer, read to its end; `broken` when that end came before the announced length."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    broken: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error body, whose form is checked."""
        (error,) = self.json["errors"]
        assert set(error) == {"code", "message", "detail"}
        assert error["message"]
        return str(error["code"])


def seen(answer: Pulled) -> tuple[object, ...]:
    """All of an answer that a client could compare, but time and request id."""
    return answer.status, answer.body, {k: v for k, v in answer.headers.items() if k not in VARYING}


class Setup:
    """A control plane, an upstream, a node between them, and a token that may pull from `acme`."""

    def __init__(self, plane: FakeControlPlane, upstream: FakeRegistry, data_dir: Path) -> None:
        self.plane = plane
        self.upstream = upstream
        self.data_dir = data_dir
        # What is not there need not be waited for in tests.
        self.patience = 0.0
        self.client = aiohttp.ClientSession(auto_decompress=False)
        self.token = plane.add_token(plane.add_organization("acme"))
        self.node = self.new_node()

    def new_node(self, **settings: Any) -> Node:
        """A node on the same data directory."""
        usual: dict[str, Any] = {
            "data_dir": self.data_dir,
            "registry_listen": "127.0.0.1:0",
            "node_listen": "127.0.0.1:0",
            "address": self.plane.address,
            "node_token": self.plane.token,
            "drain_timeout": "1s",
        }
        return Node(Settings(**(usual | settings)), self.patience)

    async def start(self) -> None:
        await self.node.start()
        await self.in_force()

    async def restart(self, **settings: Any) -> None:
        """End the node, and start another on what it left."""
        await self.node.stop()
        self.node = self.new_node(**settings)
        await self.node.start()

    async def close(self) -> None:
        await self.client.close()
        await self.node.stop()

    async def in_force(self) -> None:
        """Wait until the node runs what the control plane has."""
        await until(lambda: self.node.state.revision == self.plane.revision)

    async def artifact(
        self, image: Image | None = None, repository: str = "acme/app", tag: str = "1.0"
    ) -> FakeArtifact:
        """Create an artifact in front of the upstream, with an image that both know."""
        artifact = self.plane.add_artifact(repository, f"{self.upstream.host}/up/{repository}")
        if image is not None:
            self.upstream.add(image, f"up/{repository}", [tag])
            self.plane.hold(artifact, image, [tag])
        await self.in_force()
        return artifact

    async def request(
        self, method: str, path: str, *, token: str | None = None, base: str = "", **headers: str
    ) -> Pulled:
        """Send one request; `path` goes out as it is, header names have `_` for `-`."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        fields.setdefault("Authorization", basic(self.token if token is None else token))
        url = URL(f"http://{base or self.node.registry_address}{path}", encoded=True)
        body, broken = bytearray(), False
        async with self.client.request(method, url, headers=fields, allow_redirects=False) as response:
            try:
                async for chunk in response.content.iter_any():
                    body += chunk
            except aiohttp.ClientPayloadError:
                broken = True
            return Pulled(response.status, response.headers, bytes(body), broken)

    async def get(self, path: str, **headers: str) -> Pulled:
        """GET below `/v2/acme/app/`."""
        return await self.request("GET", f"/v2/acme/app/{path}", **headers)

    async def head(self, path: str, **headers: str) -> Pulled:
        """HEAD below `/v2/acme/app/`."""
        return await self.request("HEAD", f"/v2/acme/app/{path}", **headers)

    async def metric(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 where it has not been counted yet."""
        answer = await self.request("GET", "/metrics", base=self.node.node_address)
        wanted = ",".join(f'{label}="{value}"' for label, value in labels.items())
        prefix = f"{name}{{{wanted}}} " if labels else f"{name} "
        lines = [line for line in answer.body.decode().splitlines() if line.startswith(prefix)]
        return float(lines[0].rpartition(" ")[2]) if lines else 0.0

    async def rest(self, tasks: Counter[str], data_dir: Path | None = None) -> None:
        """Wait until the node holds nothing of what it was asked for, and has no task beside `tasks`."""
        where = data_dir or self.data_dir

        def left() -> dict[str, object]:
            return {
                "tasks": dict(rest.tasks() - tasks),
                "files": rest.unfinished(where),
                "open": rest.blobs_open(where, [os.getpid()]),
            }

        try:
            await until(lambda: not any(left().values()), 10)
        except TimeoutError:
            pytest.fail(f"the node holds on to {left()}")


def basic(token: str, user: str = "-") -> str:
    """What docker sends after `docker login -u -`."""
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


async def until(condition: Callable[[], object], patience: float = 30) -> None:
    """Wait for something that another task brings about; raises TimeoutError after `patience` seconds."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.01)


@pytest.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    """A control plane."""
    async with FakeControlPlane() as plane:
        yield plane


@pytest.fixture
async def setup(plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path) -> AsyncIterator[Setup]:
    """All of it, running."""
    setup = Setup(plane, fake, tmp_path / "data")
    try:
        await setup.start()
        yield setup
    finally:
        await setup.close()


@pytest.fixture
async def at_rest(setup: Setup) -> AsyncIterator[None]:
    """Fails a test after which the node, while it still runs, does not come to rest."""
    tasks = rest.tasks()
    yield
    await setup.rest(tasks)
