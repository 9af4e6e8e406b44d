"""Challenges: what is asked of which token service, and which of them are not answered."""

import pytest

from clients.oci.errors import (
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
)
from clients.oci.registry import Registry
from clients.oci.transport import Transport
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import TokenService
from tests.unit.clients.oci.asking import client


@pytest.mark.parametrize(
    "scope", ["repository:team/app:pull,push", "repository:team/other:pull", "registry:x:*"]
)
async def test_no_more_is_asked_for_than_reading(
    registry: Registry, upstream: FakeRegistry, service: TokenService, scope: str
) -> None:
    """Whatever scope the challenge suggests."""
    service.challenge = f'Bearer realm="{upstream.base_url}/token",scope="{scope}"'
    await registry.check()
    assert upstream.requests[1].path == "/token?scope=repository:team/app:pull"


async def test_a_scope_of_another_kind_is_followed(
    registry: Registry, upstream: FakeRegistry, service: TokenService
) -> None:
    """As public.ecr.aws has it; and the realm's own query stays."""
    service.challenge = f'Bearer realm="{upstream.base_url}/token?account=x",scope="aws",service="a&b"'
    await registry.check()
    assert upstream.requests[1].path == "/token?account=x&service=a%26b&scope=aws"


@pytest.mark.parametrize(
    ("challenge", "kind", "words"),
    [
        ('Bearer realm="http://evil.example/token"', UpstreamInvalid, r"another owner \(evil\.example\)"),
        ('Bearer realm="http://169.254.169.254/token"', UpstreamInvalid, "another owner"),
        ('Bearer realm="/token"', UpstreamInvalid, "is not absolute"),
        ('Bearer realm="ftp://127.0.0.1/token"', UpstreamInvalid, "neither http nor https"),
        ('Bearer realm="http://u:p@127.0.0.1/token"', UpstreamInvalid, "user name or password"),
        ('Bearer realm="http://127.0.0.1/token', UpstreamInvalid, "quotes that are not closed"),
        ("Bearer", UpstreamInvalid, "malformed"),
        ('Basic realm="x"', UpstreamDenied, "wants a user name and password to read team/app"),
        ("Negotiate", UpstreamDenied, "wants a user name and password"),
        (" ", UpstreamDenied, "wants a user name and password"),
    ],
)
async def test_challenges_that_are_not_answered(
    registry: Registry,
    upstream: FakeRegistry,
    service: TokenService,
    challenge: str,
    kind: type[UpstreamError],
    words: str,
) -> None:
    """A stranger's token service, a malformed challenge, and one that nothing anonymous answers."""
    service.challenge = challenge
    with pytest.raises(kind, match=words):
        await registry.check()
    assert upstream.count() == 1


async def test_the_first_bearer_challenge_is_answered(
    registry: Registry, upstream: FakeRegistry, service: TokenService
) -> None:
    """Among others, as GitLab and Artifactory send."""
    service.challenge = f'Basic realm="x, y", Bearer realm="{upstream.base_url}/token"'
    await registry.check()


async def test_a_challenge_of_a_redirects_target_is_not_answered(
    transport: Transport, upstream: FakeRegistry, elsewhere: FakeRegistry
) -> None:
    """Storage that wants a token cannot have this registry's."""
    elsewhere.tokens = TokenService()
    upstream.faults.add("manifests", redirect=elsewhere.base_url)
    with pytest.raises(UpstreamDenied):
        await client(transport, upstream, "team/app").get_manifest("1.0")
    assert elsewhere.count() == 1
    assert upstream.count(kind="token") == 0
