"""Real clients pull through Penstock: by tag and by digest, cold, warm, and with the upstream stopped."""

from collections.abc import Callable
from typing import Protocol

import pytest

from tests.fakes.images import Image, make_artifact, make_chart
from tests.servers.docker_registry import DockerRegistry
from tests.servers.penstock import Organization
from tests.servers.skopeo import Skopeo

pytestmark = pytest.mark.real


class Client(Protocol):
    """What the clients' wrappers have in common."""

    def login(self, host: str, token: str) -> object: ...

    def pull(self, reference: str) -> str:
        """Pulls; gives the digest of the manifest or index, as the client knows it."""
        ...

    def forget(self) -> None:
        """Drops whatever would spare the next pull a request."""
        ...


def follow(
    client: Client,
    upstream: DockerRegistry,
    organization: Organization,
    repository: str,
    digest: str,
    *,
    tag: str = "1.0",
    cold: str,
) -> None:
    """Pulls cold by `cold` ("tag" or "digest"), warm by both, and by both again without the upstream."""
    by = {"tag": f"{repository}:{tag}", "digest": f"{repository}@{digest}"}
    client.login(organization.penstock.registry, organization.token)

    assert client.pull(by[cold]) == digest
    fetched = upstream.count("GET", "blobs")
    assert fetched > 0, "a cold pull must come from the upstream"

    for reference in by.values():
        client.forget()
        assert client.pull(reference) == digest
    assert upstream.count("GET", "blobs") == fetched, "a warm pull must not ask the upstream for blobs"

    upstream.stop()
    for reference in by.values():
        client.forget()
        assert client.pull(reference) == digest


@pytest.mark.parametrize("cold", ["tag", "digest"])
@pytest.mark.parametrize("name", ["docker", "podman", "skopeo", "crane", "oras"])
def test_two_platform_image(
    request: pytest.FixtureRequest,
    name: str,
    cold: str,
    skopeo: Skopeo,
    upstream: DockerRegistry,
    organization: Organization,
    artifact_id: str,
    fresh_image: Callable[[], Image],
) -> None:
    """Every client gets the digest that the upstream has, and needs the upstream only once."""
    client: Client = request.getfixturevalue(name)
    digest = skopeo.push(fresh_image(), f"{upstream.host}/team/app:1.0")
    repository = organization.artifact(f"{upstream.host}/team/app", artifact_id)
    follow(client, upstream, organization, repository, digest, cold=cold)


@pytest.mark.parametrize("name", ["docker", "skopeo"])
def test_docker_schema_2_image(
    request: pytest.FixtureRequest,
    name: str,
    skopeo: Skopeo,
    upstream: DockerRegistry,
    organization: Organization,
    artifact_id: str,
    fresh_image: Callable[[], Image],
) -> None:
    """Images in Docker's own media types are served as they are, types and digests unchanged."""
    client: Client = request.getfixturevalue(name)
    image = fresh_image().children[0]
    digest = skopeo.push_as_docker_schema2(image, f"{upstream.host}/team/app:1.0")
    repository = organization.artifact(f"{upstream.host}/team/app", artifact_id)
    follow(client, upstream, organization, repository, digest, cold="tag")


@pytest.mark.parametrize("cold", ["tag", "digest"])
@pytest.mark.parametrize("name", ["helm", "oras", "oras_py"])
def test_helm_chart(
    request: pytest.FixtureRequest,
    name: str,
    cold: str,
    skopeo: Skopeo,
    upstream: DockerRegistry,
    organization: Organization,
    artifact_id: str,
) -> None:
    """A chart, which is no image, is pulled by helm and by clients that take anything."""
    client: Client = request.getfixturevalue(name)
    chart = make_chart(name=artifact_id, version="1.2.3")
    digest = skopeo.push(chart, f"{upstream.host}/charts/{artifact_id}:1.2.3")
    repository = organization.artifact(f"{upstream.host}/charts/{artifact_id}", artifact_id)
    follow(client, upstream, organization, repository, digest, tag="1.2.3", cold=cold)


@pytest.mark.parametrize("cold", ["tag", "digest"])
@pytest.mark.parametrize("name", ["oras", "oras_py", "skopeo"])
def test_artifact_of_a_foreign_media_type(
    request: pytest.FixtureRequest,
    name: str,
    cold: str,
    skopeo: Skopeo,
    upstream: DockerRegistry,
    organization: Organization,
    artifact_id: str,
) -> None:
    """An artifact whose types nobody here has heard of is passed on as it is."""
    client: Client = request.getfixturevalue(name)
    thing = make_artifact("application/vnd.example.thing.v7", f"content of {artifact_id}".encode())
    digest = skopeo.push(thing, f"{upstream.host}/things/one:1.0")
    repository = organization.artifact(f"{upstream.host}/things/one", artifact_id)
    follow(client, upstream, organization, repository, digest, cold=cold)
