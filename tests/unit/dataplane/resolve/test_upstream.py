"""Access to upstreams: kept in memory while it is good, and asked for anew when it is not."""

from collections.abc import AsyncIterator

import grpc
import pytest

from clients.control.client import ControlClient
from clients.oci.errors import UpstreamDenied, UpstreamError
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.upstream import Grants
from tests.fakes.aborts import Fault
from tests.fakes.clock import Clock
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.estate import FakeArtifact

METHOD = "GetUpstreamAccess"


@pytest.fixture
def clock() -> Clock:
    """The node's clock."""
    return Clock()


@pytest.fixture
async def grants(plane: FakeControlPlane, clock: Clock) -> AsyncIterator[Grants]:
    """What a node has got."""
    async with ControlClient(plane.address, plane.token) as client:
        grants = Grants(ControlPlane(client.nodes, patience=0), clock)
        yield grants
        await grants.stop()


@pytest.fixture
def artifact(plane: FakeControlPlane) -> FakeArtifact:
    """An artifact whose upstream takes a password."""
    artifact = plane.add_artifact("acme/app")
    artifact.authorization = "Basic first"
    artifact.ca_certificates = "-----BEGIN CERTIFICATE-----"
    return artifact


def entry(artifact: FakeArtifact) -> ArtifactEntry:
    """What the configuration says of it now."""
    return ArtifactEntry(
        artifact.uid, artifact.organization_uid, artifact.repository, artifact.content_revision
    )


async def test_it_is_asked_for_once_a_minute(
    grants: Grants, plane: FakeControlPlane, artifact: FakeArtifact, clock: Clock
) -> None:
    """With the certificates that go with it."""
    for _ in range(5):
        grant = await grants.get(entry(artifact))
    assert (grant.access.authorization, grant.access.ca_certificates) == (
        "Basic first",
        "-----BEGIN CERTIFICATE-----",
    )
    assert plane.calls[METHOD] == 1
    clock.now += 61
    await grants.get(entry(artifact))
    assert plane.calls[METHOD] == 2
    # As much when the clock is set back: it would seem fresh for an hour more.
    clock.now -= 3600
    await grants.get(entry(artifact))
    assert plane.calls[METHOD] == 3


async def test_another_credential_is_used_at_once(
    grants: Grants, plane: FakeControlPlane, artifact: FakeArtifact
) -> None:
    """The configuration says that something of the artifact has changed."""
    await grants.get(entry(artifact))
    artifact.authorization = "Basic second"
    plane.touch(artifact)
    assert (await grants.get(entry(artifact))).access.authorization == "Basic second"


async def test_without_a_control_plane_a_good_grant_goes_on(
    grants: Grants, plane: FakeControlPlane, artifact: FakeArtifact, clock: Clock
) -> None:
    """To its end, also under a newer configuration."""
    artifact.expire_time = clock.now + 600
    await grants.get(entry(artifact))
    plane.touch(artifact)
    await plane.stop()
    clock.now += 500
    assert (await grants.get(entry(artifact))).access.authorization == "Basic first"
    clock.now += 100
    with pytest.raises(UpstreamError):
        await grants.get(entry(artifact))


async def test_what_is_about_to_end_is_not_begun_with(
    grants: Grants, plane: FakeControlPlane, artifact: FakeArtifact, clock: Clock
) -> None:
    """A request takes its time to get to the upstream, by whose clock it may have ended then."""
    artifact.expire_time = clock.now + 30
    await grants.get(entry(artifact))
    clock.now += 14
    await grants.get(entry(artifact))
    assert plane.calls[METHOD] == 1
    clock.now += 2
    await grants.get(entry(artifact))
    assert plane.calls[METHOD] == 2


async def test_what_was_refused_is_not_shown_again(
    grants: Grants, plane: FakeControlPlane, artifact: FakeArtifact
) -> None:
    """The control plane hears of it; while it has nothing better, the old one stays at home."""
    first = await grants.get(entry(artifact))
    plane.faults[METHOD] = Fault(grpc.StatusCode.FAILED_PRECONDITION, "UPSTREAM_DENIED")
    with pytest.raises(UpstreamDenied):
        await grants.get(entry(artifact), refused=first)
    assert plane.calls["refused"] == 0
    with pytest.raises(UpstreamDenied):
        await grants.get(entry(artifact))
    plane.faults.clear()
    artifact.authorization = "Basic second"
    assert (await grants.get(entry(artifact), refused=first)).access.authorization == "Basic second"
    assert plane.calls["refused"] == 1


async def test_many_that_are_refused_together_ask_once(
    grants: Grants, plane: FakeControlPlane, artifact: FakeArtifact
) -> None:
    """Whoever hears of it later gets what the first has got meanwhile, which nobody has refused."""
    first = await grants.get(entry(artifact))
    artifact.authorization = "Basic second"
    for _ in range(5):
        second = await grants.get(entry(artifact), refused=first)
        assert second.access.authorization == "Basic second"
    assert plane.calls["refused"] == 1


async def test_it_shows_no_secret(grants: Grants, artifact: FakeArtifact) -> None:
    """Not where a grant ends up in a log."""
    assert "first" not in repr(await grants.get(entry(artifact)))
