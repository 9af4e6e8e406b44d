"""Where the attacks take place: a private registry with its token service, a thief, and what is inside.

Names, addresses and certificates are those of a small Internet on this machine: the rules that tests of other
kinds switch off, to reach loopback, are all in force.
"""

import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients.oci.blob import BlobAccess, open_blob
from clients.oci.credential import Basic
from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError
from clients.oci.registry import Registry
from clients.oci.request import Timeouts
from clients.oci.retry import Retry
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream
from tests.fakes.clock import Clock, Pauses
from tests.fakes.endpoint import Endpoint, Received, Reply
from tests.fakes.images import make_image
from tests.fakes.internet import Internet
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import TokenService
from tests.servers.certificates import Authority

VENDOR = "registry.vendor.example"
AUTH = "auth.vendor.example"
THIEF = "thief.example"
USER = "alice"
PASSWORD = "p4ssw0rd-of-alice-9f2c51d7"
TOKEN = "t0ken-of-alice-5a7be1c40d"
SECRETS = (PASSWORD, TOKEN)
IMAGE = make_image(layers=[b"private content"], seed=7)


class TokenDesk(Endpoint):
    """A token service: gives TOKEN to whoever asks, unless a test sets another reply."""

    def answer(self, received: Received) -> Reply:
        return self.reply if self.reply.body or self.reply.status != 200 else token_reply(token=TOKEN)


def token_reply(**fields: object) -> Reply:
    """A token service's answer."""
    document = {"expires_in": 300, **fields}
    return Reply(200, json.dumps(document).encode(), {"Content-Type": "application/json"})


@dataclass
class Scene:
    """The parties of an attack; `refused` runs it, `safe` says whether everything stayed where it belongs."""

    internet: Internet
    registry: FakeRegistry
    desk: TokenDesk
    thief: Endpoint
    # At a private address, where only somebody of this network gets.
    inside: Endpoint
    # At the token service's name, without TLS.
    clear: Endpoint
    transport: Transport
    clock: Clock
    host: str

    @property
    def base_url(self) -> str:
        return f"https://{self.host}"

    @property
    def thief_url(self) -> str:
        return url_of(THIEF, self.thief)

    @property
    def desk_url(self) -> str:
        return url_of(AUTH, self.desk)

    def client(self, repository: str = "team/app", password: str = PASSWORD) -> Registry:
        """A client of the vendor's registry with alice's credential."""
        return Registry(self.transport, Upstream.parse(f"{self.host}/{repository}"), Basic(USER, password))

    def name_realm(self, realm: str, more: str = "") -> None:
        """Has the registry want a token from there."""
        self.challenge(f'Bearer realm="{realm}",service="vendor"{more}')

    def challenge(self, challenge: str) -> None:
        """Has the registry answer with a challenge until it gets TOKEN."""
        self.registry.tokens = TokenService(challenge=challenge, issued={TOKEN: float("inf")})

    async def refused(self, call: Awaitable[object] | None = None) -> str:
        """Tries to read (or something else), which has to fail; gives the sentence that users then read."""
        with pytest.raises(UpstreamError) as caught:
            await (call or self.client().get_manifest("1.0"))
        for secret in SECRETS:
            assert secret not in str(caught.value)
        assert str(caught.value).endswith(".")
        return str(caught.value)

    async def blob(self, authorization: str = f"Bearer {TOKEN}", digest: Digest | None = None) -> bytes:
        """Reads the private layer, as a node does with what it was handed."""
        access = BlobAccess(self.base_url, "team/app", authorization, allow_private=False)
        wanted = digest or IMAGE.layers[0].digest
        async with open_blob(self.transport, access, wanted) as stream:
            return b"".join([chunk async for chunk in stream.chunks()])

    def safe(self) -> bool:
        """Whether only the registry and its token service got a secret; who is not to be asked was not."""
        leaked = any(self.thief.saw(secret) for secret in SECRETS)
        return not leaked and self.inside.received == self.clear.received == []

    def ports(self) -> dict[str, str]:
        """The ports of those that an attack may lead to, by name."""
        parties = {"inside": self.inside, "clear": self.clear, "thief": self.thief}
        return {name: party.host.rpartition(":")[2] for name, party in parties.items()}


def url_of(name: str, endpoint: Endpoint) -> str:
    """The URL of an endpoint by a name that leads to it."""
    return f"{endpoint.url.partition('://')[0]}://{name}:{endpoint.host.rpartition(':')[2]}"


@asynccontextmanager
async def staged(
    directory: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, *, vendor: str = VENDOR
) -> AsyncIterator[Scene]:
    """Sets the scene up, with the vendor's registry under a name."""
    internet = Internet(monkeypatch)
    addresses = {name: internet.address(name) for name in (vendor, AUTH, THIEF)}
    # The thief's is good for the vendor's name as well, on another port.
    names = {vendor: (vendor,), AUTH: (AUTH,), THIEF: (THIEF, vendor)}
    tls = {name: authority.issue(directory, *names[name]).server_context() for name in names}
    clock = Clock()
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(
            FakeRegistry(host=addresses[vendor], ssl_context=tls[vendor])
        )
        registry.add(IMAGE, "team/app", ["1.0"])
        desk = stack.enter_context(TokenDesk(host=addresses[AUTH], ssl_context=tls[AUTH]))
        thief = stack.enter_context(
            Endpoint(host=addresses[THIEF], ssl_context=tls[THIEF], reply=token_reply(token="of-the-thief"))
        )
        inside = stack.enter_context(Endpoint(reply=token_reply(token="of-the-inside")))
        clear = stack.enter_context(Endpoint(host=addresses[AUTH], reply=token_reply(token="in-the-clear")))
        transport = await stack.enter_async_context(
            Transport(
                timeouts=Timeouts(connect=5, idle=5, total=10),
                retry=Retry(attempts=1),
                ssl_context=authority.client_context(),
                sleep=Pauses().sleep,
                clock=clock,
                now=clock,
            )
        )
        host = f"{vendor}:{registry.host.rpartition(':')[2]}"
        yield Scene(internet, registry, desk, thief, inside, clear, transport, clock, host)
