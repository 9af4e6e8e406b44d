"""What all tests share: an installation, an upstream, and checks that a test leaves nothing behind."""

import asyncio
import gc
import inspect
import itertools
import os
import re
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.fakes.images import Image, make_image, make_index
from tests.fakes.registry import FakeRegistry
from tests.servers.docker_registry import DockerRegistry
from tests.servers.leaks import left_open, open_now
from tests.servers.moto import ENVIRONMENT, Moto
from tests.servers.penstock import Organization, Penstock
from tests.servers.process import started
from tests.servers.redis_server import RedisServer

# Tests count requests to upstreams, whatever the time of day: those that want a schedule say so.
os.environ["REGISTRY_UPSTREAM_SYNC_CRON"] = ""

_seeds = itertools.count(1)
_LONGEST_ID = 40
_TOKEN = re.compile("ps[tn]_[A-Za-z0-9]")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows, with a failed test, what the servers had to say meanwhile."""
    report = yield
    if report.failed:
        logs = [(f"log of {process.name}", process.tail()) for process in started]
        report.sections += [(title, text) for title, text in logs if text]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begins a new page in every server's log."""
    for process in started:
        process.turn_page()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Keeps what is random or long out of the names of tests: each process finds the same ones."""
    if isinstance(val, str) and (len(val) > _LONGEST_ID or _TOKEN.search(val)):
        return argname
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Has every asynchronous test watched for tasks that it leaves behind."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.fixturenames.insert(0, "no_task_left")


def pytest_collection_finish() -> None:
    """Has the garbage collector leave alone what lasts as long as all tests, which is nearly everything."""
    gc.collect()
    gc.freeze()


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """Fails a test that ends while tasks which it started still run."""
    before = asyncio.all_tasks()
    yield
    for _ in range(100):
        left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"left running: {left}")


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    """Fails a test that leaves files or connections open."""
    before = open_now()
    yield
    if left := left_open(before):
        pytest.fail(f"left open: {left}")


@pytest.fixture(scope="session")
def penstock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Penstock]:
    """An installation for all tests that change nothing which another could notice."""
    installation = Penstock(tmp_path_factory.mktemp("penstock"))
    try:
        yield installation.start()
    finally:
        installation.stop()


@pytest.fixture(scope="session")
def organization(penstock: Penstock) -> Organization:
    """An organization for all tests that only need a place for artifacts of their own."""
    return penstock.organization()


@pytest.fixture
def artifact_id() -> str:
    """An artifact id that no other test uses."""
    return f"app{next(_seeds)}"


@pytest.fixture
def fresh_image() -> Callable[[], Image]:
    """Makes a two-platform image of two layers, none of them ever cached before."""

    def make() -> Image:
        seed = next(_seeds)
        platforms = (("linux", "amd64"), ("linux", "arm64", "v8"))
        return make_index(
            [
                make_image(
                    layers=[f"bottom {seed} {platform}".encode(), f"top {seed} {platform}".encode() * 1000],
                    platform=platform,
                    seed=seed,
                )
                for platform in platforms
            ]
        )

    return make


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[DockerRegistry]:
    """A docker-registry of one's own, empty."""
    registry = DockerRegistry(tmp_path / "upstream")
    try:
        yield registry.start()
    finally:
        registry.stop()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """An S3 server; tests have buckets of their own in it."""
    server = Moto(tmp_path_factory.mktemp("moto"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """What AWS's tools take from the environment, for `moto`."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of one's own, empty."""
    server = RedisServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    """An upstream that errs on demand, in this process: what would block the loop goes to a thread."""
    async with FakeRegistry() as registry:
        yield registry
