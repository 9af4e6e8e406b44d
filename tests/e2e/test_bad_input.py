"""Bad input at the command line: one sentence that says what is wrong and what would be right."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.process.exits import Exit
from tests.servers.command import Finished
from tests.servers.docker_registry import DockerRegistry
from tests.servers.penstock import Organization, Penstock
from tests.servers.ports import free_ports

EXAMPLE = "docker.io/library/redis"


def create(organization: Organization, name: str, upstream: str, *flags: str) -> Finished:
    """Tries to create an artifact."""
    path = f"{organization.name}/{name}"
    return organization.penstock.cli("artifacts", "create", path, "--upstream", upstream, *flags, ok=False)


def assert_one_sentence(finished: Finished, code: Exit) -> str:
    """One line on standard error, nothing on standard output, this exit code."""
    assert finished.code == code, finished
    assert finished.out == ""
    (line,) = finished.err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    "upstream",
    [
        pytest.param("docker.io", id="whole-registry"),
        pytest.param("docker.io/", id="whole-registry-slash"),
        pytest.param("docker.io/library/redis:7", id="tag"),
        pytest.param(f"docker.io/library/redis@sha256:{'0' * 64}", id="digest"),
        pytest.param("https://docker.io/library/redis", id="scheme"),
        pytest.param("docker.io/Library/Redis", id="upper-case"),
        pytest.param("docker.io/library/../redis", id="dots"),
        pytest.param("user:hunter2@docker.io/library/redis", id="credentials"),
        pytest.param("registry.example.com:99999/team/app", id="port"),
        pytest.param("what is this?", id="nonsense"),
        pytest.param("", id="empty"),
    ],
)
def test_upstream_that_is_no_repository(organization: Organization, artifact_id: str, upstream: str) -> None:
    """The sentence shows what an upstream looks like, and nothing was created."""
    line = assert_one_sentence(create(organization, artifact_id, upstream), Exit.USAGE)
    assert EXAMPLE in line
    assert "upstream" in line.lower()
    assert "hunter2" not in line
    shown = organization.penstock.cli("artifacts", "get", f"{organization.name}/{artifact_id}", ok=False)
    assert shown.code == Exit.FAILED


@pytest.mark.parametrize("artifact", ["App", "-app", "app:1", "a//b", "app@x", "a" * 300])
def test_artifact_id_that_is_no_repository_name(organization: Organization, artifact: str) -> None:
    """An artifact's id is what clients pull, so it is held to their grammar."""
    assert_one_sentence(create(organization, artifact, EXAMPLE, "--skip-upstream-check"), Exit.USAGE)


@pytest.mark.parametrize("name", ["A", "a", "Acme", "acme_", "a b", "-acme", "x" * 64])
def test_organization_id_that_is_no_slug(penstock: Penstock, name: str) -> None:
    """An organization's id is the first component of repository names."""
    finished = penstock.cli("organizations", "create", "--", name, ok=False)
    assert_one_sentence(finished, Exit.USAGE)


def test_upstream_out_of_reach(organization: Organization, artifact_id: str) -> None:
    """FAILED_PRECONDITION with the reason; `--skip-upstream-check` creates it all the same."""
    upstream = f"127.0.0.1:{free_ports(1)[0]}/team/app"
    line = assert_one_sentence(create(organization, artifact_id, upstream, "--plain-http"), Exit.FAILED)
    assert upstream.partition("/")[0] in line
    assert (
        create(organization, artifact_id, upstream, "--plain-http", "--skip-upstream-check").code == Exit.OK
    )


@pytest.mark.real
def test_upstream_without_the_repository(
    organization: Organization, upstream: DockerRegistry, artifact_id: str
) -> None:
    """A registry that is there, and has no such repository."""
    finished = create(organization, artifact_id, f"{upstream.host}/no/such", "--plain-http")
    assert "no/such" in assert_one_sentence(finished, Exit.FAILED)


def test_things_that_are_not_there(organization: Organization, penstock: Penstock) -> None:
    """Every noun says what is missing."""
    for argv in (
        ("organizations", "get", "no-such-organization"),
        ("artifacts", "get", f"{organization.name}/no-such-artifact"),
        ("artifacts", "sync", f"{organization.name}/no-such-artifact"),
        ("tags", "list", f"{organization.name}/no-such-artifact"),
        ("users", "get", organization.name, "no-such-user@example.com"),
    ):
        line = assert_one_sentence(penstock.cli(*argv, ok=False), Exit.FAILED)
        assert "no-such" in line


def test_created_twice(organization: Organization, penstock: Penstock) -> None:
    """The second time says that it is there."""
    line = assert_one_sentence(
        penstock.cli("organizations", "create", organization.name, ok=False), Exit.FAILED
    )
    assert organization.name in line


def test_wrong_token(penstock: Penstock) -> None:
    """A token that is none of this installation's; what it was is not repeated."""
    secret = "pst_" + "0" * 36
    finished = penstock.cli("organizations", "list", token=secret, ok=False)
    assert finished.code == Exit.NO_PERMISSION
    assert secret not in finished.err + finished.out


def test_token_of_another_organization(organization: Organization, penstock: Penstock) -> None:
    """What somebody may not see is not there for them."""
    other = penstock.organization()
    finished = penstock.cli("organizations", "get", organization.name, token=other.token, ok=False)
    assert finished.code == Exit.FAILED
    absent = penstock.cli("organizations", "get", "no-such", token=other.token, ok=False)
    assert finished.err.replace(organization.name, "*") == absent.err.replace("no-such", "*")


def test_puller_may_not_change_anything(organization: Organization, penstock: Penstock) -> None:
    """A read-only token pulls and looks, and no more."""
    finished = penstock.cli(
        "users", "create", organization.name, "new@example.com", token=organization.token, ok=False
    )
    assert finished.code in (Exit.NO_PERMISSION, Exit.FAILED)
    assert len(finished.err.strip().splitlines()) == 1


@pytest.fixture(scope="module")
def careful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organization]:
    """An installation as it is without settings: private upstreams are refused."""
    directory: Path = tmp_path_factory.mktemp("careful")
    installation = Penstock(directory, settings={"ALLOW_PRIVATE_UPSTREAMS": "false"})
    try:
        yield installation.start().organization()
    finally:
        installation.stop()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:5000", "localhost:5000", "10.0.0.1", "192.168.1.1:5000", "169.254.169.254", "[::1]:5000"],
)
def test_private_upstream(careful: Organization, artifact_id: str, host: str) -> None:
    """Loopback, private and link-local addresses are refused, and the sentence says what allows them."""
    finished = create(careful, artifact_id, f"{host}/team/app", "--plain-http")
    assert finished.code in (Exit.USAGE, Exit.FAILED)
    assert "PENSTOCK_ALLOW_PRIVATE_UPSTREAMS" in finished.err
