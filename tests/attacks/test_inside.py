"""Attacks by what the control plane is told to ask: upstreams and ECR endpoints where only it can get."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tests.attacks.installation import (
    artifact,
    basic,
    ecr,
    installed,
)
from tests.attacks.scene import PASSWORD, USER
from tests.fakes.endpoint import Endpoint, Reply
from tests.fakes.registry import FakeRegistry
from tests.servers.control_plane import Plane, refused


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    """A control plane that may reach private addresses, as tests must."""
    async with installed(tmp_path / "data") as plane:
        yield plane


@pytest.mark.parametrize(
    "host", ["{fake}", "localhost:{port}", "[::1]:{port}", "169.254.169.254", "10.0.0.1"]
)
async def test_upstream_inside(tmp_path: Path, fake: FakeRegistry, host: str) -> None:
    """By default, nobody can have the control plane ask what only it can reach."""
    async with installed(tmp_path / "data", allow_private=False) as plane:
        await plane.root.credentials.CreateCredential(basic())
        host = host.format(fake=fake.host, port=fake.host.partition(":")[2])
        error = await refused(plane.root.artifacts.CreateArtifact(artifact(f"{host}/team/app")))
    assert error.code in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT)
    assert "private" in str(error) or any("private" in each.description for each in error.violations)
    assert fake.requests == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://169.254.169.254/",
        "https://169.254.169.254/latest/meta-data/",
        "{inside}",
        "https://10.0.0.1/",
        "http://api.ecr.us-east-1.amazonaws.com/",
        "file:///etc/passwd",
        f"https://{USER}:{PASSWORD}@ecr.example.com/",
        "not a URL",
    ],
)
async def test_ecr_endpoint(tmp_path: Path, endpoint: str) -> None:
    """An endpoint of the ECR API is an address from outside like any other, and gets no request either."""
    with Endpoint() as inside:
        async with installed(tmp_path / "data", allow_private=False) as plane:
            request = ecr(endpoint.replace("{inside}", inside.url))
            error = await refused(plane.root.credentials.CreateCredential(request))
    assert error.code in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT)
    assert PASSWORD not in str(error)
    assert not [each for each in error.violations if PASSWORD in each.description]
    assert inside.received == []


async def test_ecr_endpoint_that_redirects(plane: Plane) -> None:
    """An API has no reason to: the signed request is not sent on."""
    with Endpoint() as thief, Endpoint(reply=Reply(307, b"", {"Location": f"{thief.url}/"})) as endpoint:
        await refused(plane.root.credentials.CreateCredential(ecr(endpoint.url)))
    assert thief.received == []


async def test_ecr_answer_of_100_mib(plane: Plane) -> None:
    """It is read to a limit, and then left."""
    given = 0

    def pieces() -> object:
        nonlocal given
        while given < 100 * 1024 * 1024:
            given += 65536
            yield bytes(65536)

    with Endpoint(reply=Reply(200, pieces())) as endpoint:  # type: ignore[arg-type]  # a generator of bytes
        await refused(plane.root.credentials.CreateCredential(ecr(endpoint.url)))
    assert given < 60 * 1024 * 1024
