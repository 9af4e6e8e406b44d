"""Customers with docker and skopeo: they get what they are entitled to, with and without a control plane."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.fakes.images import Image
from tests.servers import http
from tests.servers.docker_registry import DockerRegistry
from tests.servers.dockerd import Docker
from tests.servers.penstock import Penstock
from tests.servers.skopeo import Skopeo

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(240)]


@dataclass(frozen=True)
class Vendor:
    """`acme/app` with 1.0, 1.1 and 2.0."""

    penstock: Penstock
    repository: str
    images: dict[str, Image]

    def customer(self, name: str, *entitlement: str) -> str:
        """The token of a new customer, with an entitlement to the artifact where flags describe one."""
        cli = self.penstock.cli
        cli("customers", "create", f"acme/{name}")
        cli("users", "create", "acme", f"{name}@example.com", "--role", "read_only", "--customer", name)
        token = cli("tokens", "create", "acme", f"{name}@example.com").out.strip()
        if entitlement:
            flags = ("--name", name, "--customer", name, "--artifact", "app", *entitlement)
            cli("entitlements", "create", "acme", *flags)
        self.penstock.wait_served("/v2/", token)
        return token

    def status(self, path: str, token: str) -> int:
        """What a GET below the repository is answered with."""
        headers = {"Authorization": http.basic(token)}
        return http.request(self.penstock.registry, "GET", f"/v2/acme/app/{path}", headers=headers).status

    def revision(self) -> int:
        """The configuration revision that every worker of the node runs, or a later one."""
        return int(http.request(self.penstock.node, "GET", "/readyz").json()["configuration"]["revision"])

    def wait_for(self, status: int, path: str, token: str) -> None:
        """Waits until every worker answers so."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if all(self.status(path, token) == status for _ in range(10)):
                return
        raise AssertionError(f"{path} is not answered with {status}")


@pytest.fixture
def vendor(
    apart: Penstock, upstream: DockerRegistry, skopeo: Skopeo, fresh_image: Callable[[], Image]
) -> Vendor:
    """An organization whose artifact has three tags."""
    images = {tag: fresh_image() for tag in ("1.0", "1.1", "2.0")}
    for tag, image in images.items():
        skopeo.push(image, f"{upstream.host}/team/app:{tag}")
    apart.cli("organizations", "create", "acme")
    apart.cli(
        *("artifacts", "create", "acme/app", "--upstream", f"{upstream.host}/team/app"),
        *("--plain-http", "--wait"),
    )
    apart.wait_served("/v2/acme/app/tags/list", apart.admin_token)
    return Vendor(apart, f"{apart.registry}/acme/app", images)


def test_docker_and_skopeo_get_what_customers_are_entitled_to(
    vendor: Vendor, docker: Docker, skopeo: Skopeo
) -> None:
    """By tag and by digest; other tags are unknown to them, and lists leave them out."""
    host, repository, images = vendor.penstock.registry, vendor.repository, vendor.images
    open_to_all = vendor.customer("early")
    assert vendor.status("manifests/2.0", open_to_all) == 200
    one = vendor.customer("one", "--tags", "1.*")
    two = vendor.customer("two", "--versions", ">=2")
    # With the first entitlement, customers see only what they are entitled to.
    vendor.wait_for(404, "tags/list", open_to_all)
    vendor.wait_for(200, "manifests/1.0", one)
    vendor.wait_for(200, "manifests/2.0", two)

    docker.login(host, one)
    for tag in ("1.0", "1.1"):
        assert docker.pull(f"{repository}:{tag}") == str(images[tag].digest)
    assert docker.pull(f"{repository}@{images['1.0'].digest}") == str(images["1.0"].digest)
    docker.forget()
    skopeo.login(host, two)
    assert skopeo.pull(f"{repository}:2.0") == str(images["2.0"].digest)
    assert skopeo.pull(f"{repository}@{images['2.0'].digest}") == str(images["2.0"].digest)
    tags = skopeo("list-tags", "--tls-verify=false", f"docker://{repository}").json()["Tags"]
    assert tags == ["2.0"]

    unknown = docker("pull", f"{repository}:9.9", ok=False).err.replace("9.9", "TAG")
    forbidden = docker("pull", f"{repository}:2.0", ok=False).err.replace("2.0", "TAG")
    assert "unknown" in forbidden
    assert forbidden == unknown
    for reference in (f"{repository}:1.0", f"{repository}@{images['1.0'].digest}"):
        refused = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{reference}", ok=False)
        assert refused.code != 0
        assert "unknown" in refused.err
    skopeo.login(host, open_to_all)
    refused = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{repository}:1.0", ok=False)
    assert "repository name not known" in refused.err or "unknown" in refused.err


def test_without_the_control_plane(vendor: Vendor, skopeo: Skopeo) -> None:
    """What was resolved is served on, by a restarted node too; what ends meanwhile ends on time."""
    penstock, images = vendor.penstock, vendor.images
    lasting = vendor.customer("lasting", "--tags", "1.*")
    ending = vendor.customer("ending", "--tags", "1.*")
    vendor.wait_for(200, "manifests/1.0", lasting)
    vendor.wait_for(200, "manifests/1.0", ending)
    before = vendor.revision()
    ends = time.time() + 10
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
    penstock.cli("entitlements", "update", "acme", "ending", "--expires", moment)
    while vendor.revision() == before:
        time.sleep(0.05)
    skopeo.login(penstock.registry, lasting)
    reference = f"{vendor.repository}:1.0"
    assert skopeo.pull(reference) == str(images["1.0"].digest)
    penstock.planes["controlplane"].stop()
    for restart in (False, True):
        if restart:
            penstock.planes["dataplane"].stop()
            penstock.start_plane("dataplane")
        assert skopeo.pull(reference) == str(images["1.0"].digest)
        assert vendor.status(f"manifests/{images['1.0'].digest}", lasting) == 200
        assert vendor.status("manifests/2.0", lasting) == 404
        assert vendor.status(f"manifests/{images['2.0'].digest}", lasting) in (404, 503)
    # Its end is in whole seconds.
    time.sleep(max(0.0, ends + 0.1 - time.time()))
    for path in ("manifests/1.0", f"manifests/{images['1.0'].digest}", "tags/list"):
        assert vendor.status(path, ending) == 404
        assert vendor.status(path, lasting) in (200, 503)
