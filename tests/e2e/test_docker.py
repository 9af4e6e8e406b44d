"""Docker Engine against Penstock, beyond plain pulls."""

import json
from collections.abc import Callable

import pytest

from tests.fakes.images import Image
from tests.servers.docker_registry import DockerRegistry
from tests.servers.dockerd import Docker
from tests.servers.penstock import Organization
from tests.servers.skopeo import Skopeo

pytestmark = pytest.mark.real


def test_login_takes_a_token_with_any_user_name(docker: Docker, organization: Organization) -> None:
    """`docker login -u -` is what scripts send; the name does not matter."""
    for user in ("-", "somebody"):
        assert (
            "Login Succeeded"
            in docker.login(organization.penstock.registry, organization.token, user=user).out
        )


def test_login_refuses_a_wrong_token(docker: Docker, organization: Organization) -> None:
    """A password that is no token of this installation is refused when logging in, not first when pulling."""
    wrong = organization.token[:-1] + ("x" if organization.token[-1] != "x" else "y")
    finished = docker.login(organization.penstock.registry, wrong, ok=False)
    assert finished.code != 0
    assert "unauthorized" in finished.err.lower()


def test_each_platform_of_an_image(
    docker: Docker,
    skopeo: Skopeo,
    upstream: DockerRegistry,
    organization: Organization,
    artifact_id: str,
    fresh_image: Callable[[], Image],
) -> None:
    """Of one tag, each platform gets its own image: the one whose config the upstream lists for it."""
    index = fresh_image()
    skopeo.push(index, f"{upstream.host}/team/app:1.0")
    reference = organization.artifact(f"{upstream.host}/team/app", artifact_id) + ":1.0"
    docker.login(organization.penstock.registry, organization.token)
    for image in index.children:
        where = "/".join(image.platform.values())
        assert docker.pull(reference, platform=where) == str(index.digest)
        assert docker.image_id(reference) == json.loads(image.manifest)["config"]["digest"]
        docker.forget()


def test_unknown_tag_is_said_to_be_unknown(
    docker: Docker,
    skopeo: Skopeo,
    upstream: DockerRegistry,
    organization: Organization,
    artifact_id: str,
    fresh_image: Callable[[], Image],
) -> None:
    """The sentence that people see names the manifest, not a server error."""
    skopeo.push(fresh_image(), f"{upstream.host}/team/app:1.0")
    repository = organization.artifact(f"{upstream.host}/team/app", artifact_id)
    docker.login(organization.penstock.registry, organization.token)
    finished = docker("pull", f"{repository}:2.0", ok=False)
    assert finished.code != 0
    assert "manifest unknown" in finished.err or "not found" in finished.err


def test_pull_without_login(
    docker: Docker,
    skopeo: Skopeo,
    upstream: DockerRegistry,
    organization: Organization,
    artifact_id: str,
    fresh_image: Callable[[], Image],
) -> None:
    """Nobody pulls anonymously, and docker says what is missing."""
    skopeo.push(fresh_image(), f"{upstream.host}/team/app:1.0")
    repository = organization.artifact(f"{upstream.host}/team/app", artifact_id)
    finished = docker("pull", f"{repository}:1.0", ok=False)
    assert finished.code != 0
    assert "no basic auth credentials" in finished.err or "unauthorized" in finished.err


def test_push_is_refused(
    docker: Docker,
    skopeo: Skopeo,
    upstream: DockerRegistry,
    organization: Organization,
    artifact_id: str,
    fresh_image: Callable[[], Image],
) -> None:
    """A read-only registry says so, and the upstream notices nothing."""
    skopeo.push(fresh_image(), f"{upstream.host}/team/app:1.0")
    repository = organization.artifact(f"{upstream.host}/team/app", artifact_id)
    docker.login(organization.penstock.registry, organization.token)
    docker.pull(f"{repository}:1.0")
    docker("tag", f"{repository}:1.0", f"{repository}:mine")
    finished = docker("push", f"{repository}:mine", ok=False)
    assert finished.code != 0
    assert skopeo.tags(f"{upstream.host}/team/app") == ["1.0"]
    docker("image", "rm", f"{repository}:mine")
