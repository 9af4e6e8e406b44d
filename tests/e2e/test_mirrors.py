"""Clients with Penstock as a mirror, set up as docs/mirror.md says: images keep their upstream's names."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.images import Image
from tests.servers.containerd import Containerd
from tests.servers.docker_registry import DockerRegistry
from tests.servers.penstock import Organization
from tests.servers.podman import Podman
from tests.servers.requirement import ROOT
from tests.servers.skopeo import Skopeo

pytestmark = pytest.mark.real


class Mirrored:
    """An upstream with two repositories, of which Penstock has one, and how clients are configured."""

    def __init__(
        self, upstream: DockerRegistry, organization: Organization, folder: str, skopeo: Skopeo, image: Image
    ):
        self.upstream, self.organization, self.folder, self.image = upstream, organization, folder, image
        for repository in ("team/app", "team/other"):
            skopeo.push(image, f"{upstream.host}/{repository}:1.0")
        organization.artifact(f"{upstream.host}/team/app", f"{folder}/team/app")

    def configuration(self, heading: str) -> str:
        """What the documentation has below a heading, for this upstream and installation."""
        text = (ROOT / "docs" / "mirror.md").read_text().partition(f"## {heading}")[2]
        found = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
        assert found is not None, heading
        penstock = self.organization.penstock.registry
        return (
            found[1]
            .replace("https://penstock.example.com", f"http://{penstock}")
            .replace("penstock.example.com", penstock)
            .replace("mirror/docker.io", f"{self.organization.name}/{self.folder}")
            .replace("https://registry-1.docker.io", f"http://{self.upstream.host}")
            .replace("docker.io", self.upstream.host)
            .replace("pst_TOKEN", self.organization.token)
        )

    def check(self, pull: Callable[[str], str], forget: Callable[[], None]) -> None:
        """What Penstock has comes through it, upstream or not; what it does not have, from the upstream."""
        names = [f"{self.upstream.host}/team/{name}:1.0" for name in ("app", "other")]
        for name in names:
            assert pull(name) == str(self.image.digest)
        forget()
        self.upstream.stop()
        assert pull(names[0]) == str(self.image.digest)


@pytest.fixture
def mirrored(
    upstream: DockerRegistry,
    organization: Organization,
    artifact_id: str,
    skopeo: Skopeo,
    fresh_image: Callable[[], Image],
) -> Mirrored:
    """All of it."""
    return Mirrored(upstream, organization, artifact_id, skopeo, fresh_image())


def test_containerd(mirrored: Mirrored, containerd: Containerd, tmp_path: Path) -> None:
    """As Kubernetes has it."""
    hosts = tmp_path / "certs.d" / mirrored.upstream.host / "hosts.toml"
    hosts.parent.mkdir(parents=True)
    hosts.write_text(mirrored.configuration("containerd"))
    mirrored.check(partial(containerd.pull_by, tmp_path / "certs.d"), containerd.forget)


def test_podman(mirrored: Mirrored, podman: Podman, tmp_path: Path) -> None:
    """As CRI-O, buildah and skopeo have it."""
    podman.login(mirrored.organization.penstock.registry, mirrored.organization.token)
    podman.configure(mirrored.configuration("podman") + "insecure = true\n")
    mirrored.check(podman.pull, podman.forget)
