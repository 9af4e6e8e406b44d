"""`clients.oci` reads real registries: by password, by tokens, and behind TLS of a private authority."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clients.oci.credential import Basic
from clients.oci.errors import (
    CredentialRefused,
    UntrustedTls,
    UpstreamDenied,
    UpstreamNotFound,
    UpstreamUnavailable,
)
from clients.oci.registry import Registry
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream
from tests.fakes.images import make_image
from tests.servers.certificates import Authority
from tests.servers.docker_registry import DockerRegistry
from tests.servers.skopeo import Skopeo
from tests.servers.token_server import TokenServer

pytestmark = pytest.mark.real

ALICE = Basic("alice", "correct horse battery staple")
IMAGE = make_image(seed=3)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test starts."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """Connections to this machine."""
    async with Transport(allow_private=True) as transport:
        yield transport


def start(stack: ExitStack, registry: DockerRegistry) -> DockerRegistry:
    """Runs a registry until the test ends."""
    stack.callback(registry.stop)
    return registry.start()


def push(tmp_path: Path, registry: DockerRegistry, *repositories: str) -> None:
    """Pushes an image as alice."""
    skopeo = Skopeo(tmp_path / "skopeo")
    skopeo.login(registry.host, ALICE.password, user=ALICE.username)
    for repository in repositories:
        skopeo.push(IMAGE, f"{registry.host}/{repository}:1.0")


def upstream(registry: DockerRegistry, repository: str = "team/app") -> Upstream:
    """A repository at plain HTTP."""
    return Upstream.parse(f"{registry.host}/{repository}", plain_http=True)


async def reads(client: Registry) -> bool:
    """Whether tags, HEAD and GET of a manifest all work."""
    head = await client.head_manifest("1.0")
    assert head is not None
    digests = {head.digest, (await client.get_manifest("1.0")).digest}
    return await client.check() == ["1.0"] and digests == {IMAGE.digest}


async def test_basic(stack: ExitStack, tmp_path: Path, transport: Transport) -> None:
    """The right password reads; none and a wrong one do not, and the errors tell which it was."""
    registry = start(stack, DockerRegistry(tmp_path / "registry", users={ALICE.username: ALICE.password}))
    push(tmp_path, registry, "team/app")
    assert await reads(Registry(transport, upstream(registry), ALICE))
    with pytest.raises(UpstreamDenied, match="wants a user name and password"):
        await Registry(transport, upstream(registry)).check()
    with pytest.raises(CredentialRefused, match="wrong"):
        await Registry(transport, upstream(registry), Basic("alice", "wrong")).check()
    with pytest.raises(UpstreamNotFound, match="team/none"):
        await Registry(transport, upstream(registry, "team/none"), ALICE).check()


async def test_bearer(stack: ExitStack, tmp_path: Path, transport: Transport) -> None:
    """Anybody's token reads what is public, alice's the rest; each is got once."""
    tokens = stack.enter_context(TokenServer(tmp_path / "tokens", {ALICE.username: ALICE.password}))
    registry = start(stack, DockerRegistry(tmp_path / "registry", tokens=tokens))
    push(tmp_path, registry, "public/app", "team/app")
    tokens.received.clear()
    assert await reads(Registry(transport, upstream(registry, "public/app")))
    assert len(tokens.received) == 1
    assert await reads(Registry(transport, upstream(registry), ALICE))
    assert len(tokens.received) == 2
    with pytest.raises(UpstreamDenied):
        await Registry(transport, upstream(registry)).check()
    with pytest.raises(CredentialRefused, match="wrong"):
        await Registry(transport, upstream(registry), Basic("alice", "wrong")).check()


async def test_private_authority(stack: ExitStack, tmp_path: Path, transport: Transport) -> None:
    """Its certificate is good for the upstream that it was given for, and unknown to all others."""
    authority = Authority()
    registry = start(
        stack,
        DockerRegistry(
            tmp_path / "registry",
            users={ALICE.username: ALICE.password},
            tls=authority.issue(tmp_path / "tls", "127.0.0.1"),
            trust=authority.client_context(),
        ),
    )
    push(tmp_path, registry, "team/app")
    upstream = Upstream.parse(f"{registry.host}/team/app")
    assert await reads(Registry(transport, upstream, ALICE, ca_certificates=authority.pem))
    with pytest.raises(UntrustedTls):
        await Registry(transport, upstream, ALICE).check()


async def test_what_is_no_manifest(stack: ExitStack, tmp_path: Path, transport: Transport) -> None:
    """It answers 500 to who asks for a config or layer as a manifest, which says nothing of others."""
    registry = start(stack, DockerRegistry(tmp_path / "registry"))
    Skopeo(tmp_path / "skopeo").push(IMAGE, f"{registry.host}/team/app:1.0")
    client = Registry(transport, upstream(registry))
    for _ in range(2):
        for digest in IMAGE.blobs:
            with pytest.raises(UpstreamUnavailable, match=f"answered 500 when asked for .*{digest}"):
                await client.get_manifest(str(digest))
    assert await reads(client)
