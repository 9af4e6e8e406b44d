"""One artifact with every kind of content, and a plain HTTP client for it."""

import sys
from collections.abc import Iterator

import pytest

from tests.conformance import content
from tests.conformance.client import Repository
from tests.servers import http
from tests.servers.penstock import Organization, Penstock
from tests.servers.ports import free_ports
from tests.servers.process import Process
from tests.servers.requirement import ROOT


@pytest.fixture(scope="session")
def upstream_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An upstream in a process of its own, with the content of `content`."""
    (port,) = free_ports(1)
    process = Process(
        "conformance upstream",
        [sys.executable, "-m", "tests.conformance.content", "--port", str(port)],
        log=tmp_path_factory.mktemp("upstream") / "upstream.log",
        cwd=ROOT,
    )
    host = f"127.0.0.1:{port}"
    try:
        process.start()
        process.wait_ready(lambda: http.answers(host, "/v2/"))
        yield host
    finally:
        process.stop()


@pytest.fixture(scope="session")
def owner(penstock: Penstock) -> Organization:
    """The organization that owns the artifacts of these tests."""
    return penstock.organization()


@pytest.fixture(scope="session")
def repository(owner: Organization, upstream_host: str) -> Repository:
    """A synced artifact that holds everything of `content`."""
    owner.artifact(f"{upstream_host}/{content.REPOSITORY}", "team/app")
    return Repository(owner.penstock.registry, f"{owner.name}/team/app", owner.token)


@pytest.fixture(scope="session")
def without_tags(owner: Organization, upstream_host: str) -> Repository:
    """An artifact whose upstream has content, but no tag."""
    owner.artifact(f"{upstream_host}/{content.EMPTY_REPOSITORY}", "team/empty")
    return Repository(owner.penstock.registry, f"{owner.name}/team/empty", owner.token)


@pytest.fixture(scope="session")
def unknown(owner: Organization) -> Repository:
    """A repository that there is not."""
    return Repository(owner.penstock.registry, f"{owner.name}/no/such", owner.token)


@pytest.fixture(scope="session")
def stranger(penstock: Penstock, repository: Repository) -> Repository:
    """The same repository, asked for with a good token of another organization."""
    return Repository(repository.address, repository.name, penstock.organization().token)
