"""Pulls and syncs through private upstreams of every kind; no secret is left behind anywhere."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.images import Image
from tests.servers.certificates import Authority
from tests.servers.disclosure import Secrets
from tests.servers.docker_registry import DockerRegistry
from tests.servers.penstock import Organization, Penstock
from tests.servers.skopeo import Skopeo
from tests.servers.token_server import TokenServer

pytestmark = [pytest.mark.real, pytest.mark.slow]

USER = "alice"


@dataclass(frozen=True, slots=True)
class Vendor:
    """A registry, what it is pushed to with, and what Penstock needs for it."""

    registry: DockerRegistry
    password: str = ""
    repository: str = "team/app"
    ca_certificates: Path | None = None

    def push(self, skopeo: Skopeo, image: Image, tag: str) -> str:
        """Pushes as the vendor; gives the digest."""
        if self.password:
            skopeo.login(self.registry.host, self.password, user=USER)
        return skopeo.push(image, f"{self.upstream}:{tag}")

    @property
    def upstream(self) -> str:
        return f"{self.registry.host}/{self.repository}"


class Vendors:
    """Makes registries that live as long as a test."""

    def __init__(self, directory: Path, stack: ExitStack, used: Secrets) -> None:
        self._directory = directory
        self._stack = stack
        self._used = used

    def none(self) -> Vendor:
        """Open to everybody."""
        return Vendor(self._started(DockerRegistry(self._directory / "registry")))

    def basic(self) -> Vendor:
        """With a password file."""
        password = secrets.token_urlsafe(24)
        registry = DockerRegistry(self._directory / "registry", users={USER: password})
        return Vendor(self._started(registry), password)

    def bearer(self, repository: str) -> Vendor:
        """With a token server, which gives anybody tokens for `public/`."""
        password = secrets.token_urlsafe(24)
        tokens = self._stack.enter_context(TokenServer(self._directory / "tokens", {USER: password}))
        self._used.watch("a Bearer token", tokens.issued)
        registry = DockerRegistry(self._directory / "registry", tokens=tokens)
        return Vendor(self._started(registry), password, repository)

    def tls(self) -> Vendor:
        """With a password file, behind TLS of an authority that nobody else trusts."""
        password = secrets.token_urlsafe(24)
        authority = Authority()
        ca_certificates = self._directory / "ca.pem"
        ca_certificates.write_text(authority.pem)
        registry = DockerRegistry(
            self._directory / "registry",
            users={USER: password},
            tls=authority.issue(self._directory / "tls", "127.0.0.1"),
            trust=authority.client_context(),
        )
        return Vendor(self._started(registry), password, ca_certificates=ca_certificates)

    def _started(self, registry: DockerRegistry) -> DockerRegistry:
        self._stack.callback(registry.stop)
        return registry.start()


@pytest.fixture
def vendors(tmp_path: Path, used: Secrets) -> Iterator[Vendors]:
    """Makes the upstreams."""
    with ExitStack() as stack:
        yield Vendors(tmp_path, stack, used)


KINDS: dict[str, tuple[Callable[[Vendors], Vendor], bool]] = {
    "none": (Vendors.none, False),
    "basic": (Vendors.basic, True),
    "bearer-anonymous": (lambda vendors: vendors.bearer("public/app"), False),
    "bearer-with-password": (lambda vendors: vendors.bearer("team/app"), True),
    "tls-of-a-private-authority": (Vendors.tls, True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_docker_registry(
    kind: str,
    vendors: Vendors,
    skopeo: Skopeo,
    private: Penstock,
    used: Secrets,
    artifact_id: str,
    fresh_image: Callable[[], Image],
) -> None:
    """An image is synced and pulled, and then a second one, whose tag only a sync can bring."""
    make, with_credential = KINDS[kind]
    vendor = make(vendors)
    organization = private.organization()
    credential = ""
    if with_credential:
        credential = organization.basic_credential("vendor", USER, used.add(kind, vendor.password))
    first = vendor.push(skopeo, fresh_image(), "1.0")
    repository = organization.artifact(
        vendor.upstream, artifact_id, credential=credential, ca_certificates=vendor.ca_certificates
    )
    skopeo.login(private.registry, organization.token)
    assert skopeo.pull(f"{repository}:1.0") == first

    second = vendor.push(skopeo, fresh_image(), "2.0")
    private.cli("artifacts", "sync", f"{organization.name}/{artifact_id}", "--wait")
    assert _tags(organization, artifact_id) == {"1.0": first, "2.0": second}
    assert skopeo.pull(f"{repository}:2.0") == second


@pytest.mark.parametrize("kind", ["basic", "bearer-with-password"])
def test_wrong_password(
    kind: str,
    vendors: Vendors,
    skopeo: Skopeo,
    private: Penstock,
    used: Secrets,
    artifact_id: str,
    fresh_image: Callable[[], Image],
) -> None:
    """It is refused when the artifact is made, in words, and changing it to the right one is one call."""
    vendor = KINDS[kind][0](vendors)
    vendor.push(skopeo, fresh_image(), "1.0")
    organization = private.organization()
    wrong = used.add("a wrong password", secrets.token_urlsafe(24))
    organization.basic_credential("vendor", USER, wrong)
    create = ("artifacts", "create", f"{organization.name}/{artifact_id}", "--upstream", vendor.upstream)
    refused = private.cli(*create, "--plain-http", "--credential", "vendor", ok=False)
    assert refused.code != 0
    assert "password" in refused.err
    update = ("credentials", "update", f"{organization.name}/vendor", "--password-stdin")
    private.cli(*update, stdin=used.add(kind, vendor.password))
    organization.artifact(vendor.upstream, artifact_id, credential="vendor")
    assert set(_tags(organization, artifact_id)) == {"1.0"}


def _tags(organization: Organization, artifact_id: str) -> dict[str, str]:
    tags = organization.penstock.json("tags", "list", f"{organization.name}/{artifact_id}")
    return {tag["name"].rpartition("/")[2]: tag["digest"] for tag in tags}
