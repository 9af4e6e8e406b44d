"""What is found out of an upstream before it is saved."""

from collections.abc import AsyncIterator

import pytest

from clients.oci.credential import Basic, Fixed
from clients.oci.errors import (
    ForbiddenAddress,
    UpstreamDenied,
    UpstreamError,
    UpstreamNotFound,
    UpstreamUnavailable,
)
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream
from controlplane.upstream.access import Target, UpstreamAccess
from controlplane.upstream.check import check
from tests.fakes.contents import Repository
from tests.fakes.gates import BasicGate
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import TokenService


@pytest.fixture
async def access() -> AsyncIterator[UpstreamAccess]:
    """Access to upstreams, on loopback as well."""
    async with Transport(allow_private=True) as transport:
        yield UpstreamAccess(transport, allow_private=True)


def _upstream(fake: FakeRegistry, repository: str = "team/app", credential: Basic | None = None) -> Target:
    return Target(Upstream.parse(f"{fake.host}/{repository}", plain_http=True), Fixed(credential))


async def test_a_repository_that_is_there_is_good(access: UpstreamAccess, fake: FakeRegistry) -> None:
    """Also one without tags, and one that wants anonymous tokens."""
    fake.repositories["team/empty"] = Repository()
    fake.add(make_image(), "team/app", ["1.0"])

    await check(access, _upstream(fake))
    await check(access, _upstream(fake, "team/empty"))
    fake.tokens = TokenService()
    await check(access, _upstream(fake))

    assert fake.count("GET", "manifests") == 0


async def test_a_repository_that_is_not_there_is_told(access: UpstreamAccess, fake: FakeRegistry) -> None:
    """A registry that answers is not enough."""
    with pytest.raises(UpstreamNotFound, match="team/app"):
        await check(access, _upstream(fake))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 503}, UpstreamUnavailable),
        ({"status": 403}, UpstreamDenied),
        ({"status": 401, "headers": {"WWW-Authenticate": "Basic realm=x"}}, UpstreamDenied),
        ({"drop": True}, UpstreamUnavailable),
        ({"body": b"<html>hello</html>"}, UpstreamError),
    ],
    ids=["unavailable", "forbidden", "wants-password", "hangs-up", "no-registry"],
)
async def test_what_is_wrong_is_told(
    access: UpstreamAccess, fake: FakeRegistry, fault: dict[str, object], expected: type[UpstreamError]
) -> None:
    """One kind of error for each kind of trouble, which names the host."""
    fake.add(make_image(), "team/app", ["1.0"])
    fake.faults.add("tags", **fault)
    with pytest.raises(expected, match=fake.host):
        await check(access, _upstream(fake))


async def test_tags_alone_are_not_enough(access: UpstreamAccess, fake: FakeRegistry) -> None:
    """A manifest of this very repository must be readable with this very credential."""
    fake.add(make_image(), "team/app", ["1.0"])
    fake.gate = BasicGate({"alice": "right"})
    fake.faults.add("manifests", status=403)
    with pytest.raises(UpstreamDenied, match=r"the manifest team/app:1\.0"):
        await check(access, _upstream(fake, credential=Basic("alice", "right")))


@pytest.mark.parametrize("fault", [{"status": 404}, {"body": b"{}"}], ids=["gone", "of-another-kind"])
async def test_a_tag_that_nobody_can_read_says_nothing_of_the_others(
    access: UpstreamAccess, fake: FakeRegistry, fault: dict[str, object]
) -> None:
    """An artifact of it can be created; its sync says what is wrong with the tag."""
    fake.add(make_image(), "team/app", ["1.0"])
    fake.faults.add("manifests", **fault)
    await check(access, _upstream(fake))


async def test_an_upstream_that_does_not_answer_is_given_up(
    access: UpstreamAccess, fake: FakeRegistry
) -> None:
    """Whoever creates an artifact is not left waiting."""
    fake.faults.add("tags", stall=True)
    with pytest.raises(UpstreamUnavailable, match=r"within 0\.2 seconds"):
        await check(access, _upstream(fake), timeout=0.2)


async def test_private_addresses_are_refused_unless_allowed(fake: FakeRegistry) -> None:
    """Without the setting, no request reaches a server on this machine."""
    async with Transport(allow_private=False) as transport:
        with pytest.raises(ForbiddenAddress):
            await check(UpstreamAccess(transport, allow_private=False), _upstream(fake))
    assert not fake.requests
