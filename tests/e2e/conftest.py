"""Real clients, each with storage and credentials of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.buildah import Buildah
from tests.servers.containerd import Containerd
from tests.servers.disclosure import Secrets
from tests.servers.dockerd import Docker, Dockerd
from tests.servers.go_clients import Crane, Grpcurl, Helm, Oras
from tests.servers.node import Node
from tests.servers.oras_client import OrasPy
from tests.servers.penstock import Penstock
from tests.servers.podman import Podman
from tests.servers.skopeo import Skopeo


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """A private Docker daemon for the whole run."""
    # Not pytest's folder: the paths of its sockets would become too long.
    daemon = Dockerd(Path(tempfile.mkdtemp(prefix="penstock-")))
    try:
        yield daemon.start()
    finally:
        daemon.stop()


@pytest.fixture
def docker(dockerd: Dockerd, tmp_path: Path) -> Iterator[Docker]:
    """The docker command, with credentials and images of its own."""
    client = dockerd.client(tmp_path / "docker")
    yield client
    client.forget()


@pytest.fixture
def containerd() -> Iterator[Containerd]:
    """A private containerd, and ctr."""
    daemon = Containerd(Path(tempfile.mkdtemp(prefix="penstock-")))
    try:
        yield daemon.start()
    finally:
        daemon.stop()


@pytest.fixture
def buildah(tmp_path: Path) -> Buildah:
    """The buildah command."""
    return Buildah(tmp_path / "buildah")


@pytest.fixture
def podman(tmp_path: Path) -> Podman:
    """The podman command."""
    return Podman(tmp_path / "podman")


@pytest.fixture
def skopeo(tmp_path: Path) -> Skopeo:
    """The skopeo command."""
    return Skopeo(tmp_path / "skopeo")


@pytest.fixture
def oras_py(tmp_path: Path) -> Iterator[OrasPy]:
    """PyPI's oras client."""
    client = OrasPy(tmp_path / "oras-py")
    yield client
    client.close()


@pytest.fixture
def crane(tmp_path: Path) -> Crane:
    """The crane command."""
    return Crane(tmp_path / "crane")


@pytest.fixture
def oras(tmp_path: Path) -> Oras:
    """The oras command."""
    return Oras(tmp_path / "oras")


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    """The helm command."""
    return Helm(tmp_path / "helm")


@pytest.fixture
def grpcurl(penstock: Penstock) -> Grpcurl:
    """The grpcurl command, as administrator of the shared installation."""
    return Grpcurl(penstock.grpc, penstock.admin_token)


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Penstock]:
    """An installation of one's own, its two planes separate processes that may be stopped and killed."""
    installation = Penstock(tmp_path / "penstock", together=False)
    try:
        yield installation.start()
    finally:
        installation.stop()


@pytest.fixture
def of_workers(tmp_path: Path) -> Iterator[Penstock]:
    """One for each test, whose nodes have two workers."""
    settings = {"WORKERS": "2", "FAST_PATH": "true"}
    installation = Penstock(tmp_path / "penstock", together=False, settings=settings)
    try:
        yield installation.start()
    finally:
        installation.stop()


@pytest.fixture
def second_of_workers(of_workers: Penstock, tmp_path: Path) -> Iterator[Node]:
    """Another node of it."""
    node = Node(of_workers, tmp_path / "second")
    try:
        yield node.start()
    finally:
        node.stop()


@pytest.fixture(scope="session")
def used() -> Secrets:
    """Collects the upstream secrets that any test uses."""
    return Secrets()


@pytest.fixture(scope="session")
def private(tmp_path_factory: pytest.TempPathFactory, used: Secrets) -> Iterator[Penstock]:
    """An installation that says all it can in its logs, for private upstreams.

    At the end of the run, all that it wrote, keeps and tells is searched for the secrets that were used.
    """
    directory = tmp_path_factory.mktemp("private")
    installation = Penstock(directory, together=False, settings={"LOG_LEVEL": "debug"})
    try:
        yield installation.start()
        assert used.disclosed(installation) == []
    finally:
        installation.stop()


@pytest.fixture
def second_node(private: Penstock, used: Secrets, tmp_path: Path) -> Iterator[Node]:
    """A second node of the installation for private upstreams; searched for secrets like the first."""
    node = Node(private, tmp_path / "node")
    try:
        yield node.start()
        assert used.disclosed(private, node) == []
    finally:
        node.stop()
