"""Each command of each real client is one event, as docs/analytics.md says; looking is none."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fakes.images import Image, make_chart
from tests.servers import http
from tests.servers.docker_registry import DockerRegistry
from tests.servers.dockerd import Docker
from tests.servers.go_clients import Crane, Oras
from tests.servers.oras_client import OrasPy
from tests.servers.penstock import Organization, Penstock
from tests.servers.skopeo import Skopeo

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300)]

# Seconds: a busy machine takes its time between two requests of one pull.
WINDOW = 4


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Penstock]:
    """An installation that waits less long for the next request of a pull."""
    installation = Penstock(tmp_path_factory.mktemp("counting"), settings={"PULL_WINDOW": f"{WINDOW}s"})
    try:
        yield installation.start()
    finally:
        installation.stop()


@pytest.fixture
def vendor(counting: Penstock) -> Organization:
    """An organization of its own for one test."""
    return counting.organization()


def recorded(organization: Organization) -> list[dict[str, Any]]:
    """All events, the first one first, when nothing can come any more."""
    time.sleep(WINDOW + 2)
    events = organization.penstock.json("pulls", "list", organization.name)
    return sorted(events, key=lambda event: str(event["time"]))


def of_artifact(events: list[dict[str, Any]], artifact: str) -> list[dict[str, Any]]:
    """Those of one artifact."""
    return [event for event in events if str(event["artifact"]).endswith(f"/{artifact}")]


def short(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Of each event: kind, tag, and platform."""
    return [(event["kind"], event.get("tag", ""), event.get("platform", "")) for event in events]


def pull_thrice(pull: Callable[[str], object], repository: str, tag: str, digest: str) -> None:
    """Cold and warm by tag, and by digest."""
    for reference in (f"{repository}:{tag}", f"{repository}:{tag}", f"{repository}@{digest}"):
        pull(reference)
        # Commands that people type are further apart.
        time.sleep(0.1)


def test_one_pull_is_one_event(
    request: pytest.FixtureRequest,
    subtests: pytest.Subtests,
    skopeo: Skopeo,
    upstream: DockerRegistry,
    vendor: Organization,
    fresh_image: Callable[[], Image],
) -> None:
    """Of an image of two platforms, by every client that this machine has; waited for once."""
    digests: dict[str, str] = {}
    for name in ("docker", "podman", "buildah", "containerd", "skopeo", "crane", "oras"):
        with subtests.test("pulls", client=name):
            client = request.getfixturevalue(name)
            digest = skopeo.push(fresh_image(), f"{upstream.host}/team/{name}:1.0")
            repository = vendor.artifact(f"{upstream.host}/team/{name}", name)
            client.login(vendor.penstock.registry, vendor.token)

            def pull(reference: str, client: Any = client) -> None:
                client.pull(reference)
                client.forget()

            pull_thrice(pull, repository, "1.0", digest)
            digests[name] = digest

    everything = recorded(vendor)
    for name, digest in digests.items():
        with subtests.test("events", client=name):
            events = of_artifact(everything, name)
            platform = "" if name in ("skopeo", "crane", "oras") else "linux/amd64"
            assert short(events) == [
                ("PULL", "1.0", platform),
                ("PULL", "1.0", platform),
                ("PULL", "", platform),
            ]
            assert [event["digest"] for event in events] == [digest] * 3
            assert [bool(event.get("cold_blobs")) for event in events] == [True, False, False]
            assert all(event["completed"] and int(event["bytes_sent"]) > 0 for event in events)


def test_a_chart(
    request: pytest.FixtureRequest,
    subtests: pytest.Subtests,
    skopeo: Skopeo,
    upstream: DockerRegistry,
    vendor: Organization,
) -> None:
    """What is no image is pulled and counted alike."""
    digests: dict[str, str] = {}
    for name in ("helm", "oras_py"):
        with subtests.test("pulls", client=name):
            client = request.getfixturevalue(name)
            artifact = name.replace("_", "-")
            chart = make_chart(name=artifact, version="1.2.3")
            digest = skopeo.push(chart, f"{upstream.host}/charts/{artifact}:1.2.3")
            repository = vendor.artifact(f"{upstream.host}/charts/{artifact}", artifact)
            client.login(vendor.penstock.registry, vendor.token)
            pull = client.fetch if isinstance(client, OrasPy) else client.pull
            pull_thrice(pull, repository, "1.2.3", digest)
            digests[artifact] = digest

    everything = recorded(vendor)
    for artifact, digest in digests.items():
        with subtests.test("events", client=artifact):
            events = of_artifact(everything, artifact)
            assert short(events) == [("PULL", "1.2.3", ""), ("PULL", "1.2.3", ""), ("PULL", "", "")]
            assert all(event["digest"] == digest and event["completed"] for event in events)


def test_looking_is_no_pull(
    docker: Docker,
    skopeo: Skopeo,
    crane: Crane,
    oras: Oras,
    upstream: DockerRegistry,
    vendor: Organization,
    artifact_id: str,
    fresh_image: Callable[[], Image],
) -> None:
    """Inspecting, listing, resolving and polling, by whatever tool; docker that has the image already."""
    skopeo.push(fresh_image(), f"{upstream.host}/team/app:1.0")
    reference = vendor.artifact(f"{upstream.host}/team/app", artifact_id) + ":1.0"
    for client in (docker, skopeo, crane, oras):
        client.login(vendor.penstock.registry, vendor.token)
    docker.pull(reference)
    docker.pull(reference)
    skopeo("inspect", "--tls-verify=false", f"docker://{reference}")
    skopeo.raw_manifest(reference)
    skopeo.tags(reference.removesuffix(":1.0"))
    for verb in ("digest", "manifest", "config"):
        crane(verb, reference)
    oras("resolve", "--plain-http", reference)
    oras("manifest", "fetch", "--plain-http", reference)
    docker("manifest", "inspect", "--insecure", reference)
    headers = {"Authorization": http.basic(vendor.token), "User-Agent": "RenovateBot/39.0.0"}
    for method, path in (("GET", "tags/list"), ("HEAD", "manifests/1.0"), ("GET", "manifests/1.0")):
        path = f"/v2/{vendor.name}/{artifact_id}/{path}"
        assert http.request(vendor.penstock.registry, method, path, headers=headers).status == 200
    docker.forget()

    events = recorded(vendor)
    pulls = [event for event in events if event["kind"] == "PULL"]
    assert [event["client"].split("/")[0] for event in pulls] == ["docker"], pulls
    checks = {event["client"].split("/")[0] for event in events if event["kind"] == "CHECK"}
    assert checks == {"docker", "skopeo", "crane", "oras", "Docker-Client", "RenovateBot"}
