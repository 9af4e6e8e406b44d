"""Credentials: shown to the registry or its token service when it asks, renewed, and not tried in vain."""

import asyncio
import base64
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clients.oci.attempts import Attempts
from clients.oci.credential import Basic
from clients.oci.errors import CredentialRefused, PermissionMissing, UpstreamDenied, UpstreamNotFound
from clients.oci.registry import Registry
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream
from tests.fakes.clock import Clock
from tests.fakes.gates import BasicGate, BearerGate, Refusal
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.fakes.secrets import remembers
from tests.servers.token_server import TokenServer

IMAGE = make_image()
ALICE = Basic("alice", "correct horse battery staple")
WRONG = Basic("alice", "Tr0ub4dor&3")


def client(
    transport: Transport, upstream: FakeRegistry, credential: object, path: str = "team/app"
) -> Registry:
    """A client of a repository of the fake, with a credential."""
    upstream.add(IMAGE, path, ["1.0"])
    return Registry(transport, Upstream.parse(f"{upstream.host}/{path}", plain_http=True), credential)  # type: ignore[arg-type]


@pytest.fixture
def gate(upstream: FakeRegistry) -> BasicGate:
    """The registry wants alice's password."""
    upstream.gate = BasicGate({ALICE.username: ALICE.password})
    return upstream.gate


def test_a_password_is_not_part_of_a_representation() -> None:
    """Not of a credential's, nor of anything that holds one."""
    assert ALICE.password not in repr([ALICE])


@pytest.mark.parametrize(
    ("username", "password"), [("alice", "p:a:s:s"), ("Jürgen", "Straße"), ("AWS", "x" * 3000)]
)
async def test_any_name_and_password_arrive(
    transport: Transport, upstream: FakeRegistry, username: str, password: str
) -> None:
    """Colons in the password, letters of any language (in UTF-8), and tokens of ECR's length."""
    upstream.gate = BasicGate({username: password})
    assert (
        await client(transport, upstream, Basic(username, password)).get_manifest("1.0")
    ).digest == IMAGE.digest


def test_a_user_name_with_a_colon_is_none() -> None:
    """It would be read as another name and another password."""
    with pytest.raises(ValueError, match="colon"):
        Basic("ali:ce", "x")


async def test_basic_is_shown_when_it_is_asked_for_and_then_at_once(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate
) -> None:
    """The first request goes without it: a registry that does not ask is not shown a password."""
    registry = client(transport, upstream, ALICE)
    for _ in range(3):
        await registry.get_manifest("1.0")
    assert [seen.status for seen in upstream.requests] == [401, 200, 200, 200]
    assert len(gate.tried) == 3


async def test_a_registry_that_does_not_ask_is_not_shown_anything(
    transport: Transport, upstream: FakeRegistry
) -> None:
    """A credential of an open registry stays at home."""
    await client(transport, upstream, ALICE).get_manifest("1.0")
    assert not upstream.saw(ALICE.password)


async def test_without_a_credential_the_sentence_says_what_is_wanted(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate
) -> None:
    """So that somebody knows what to create."""
    with pytest.raises(UpstreamDenied, match="wants a user name and password to read team/app"):
        await client(transport, upstream, None).check()


async def test_a_refused_password_is_tried_once_a_minute(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate, clock: Clock
) -> None:
    """By all repositories of the registry together, whoever asks, so that no account is locked."""
    for path in ("team/app", "team/other", "team/app"):
        with pytest.raises(CredentialRefused, match="password is wrong"):
            await client(transport, upstream, WRONG, path).check()
    assert gate.tried == [("alice", WRONG.password)]
    clock.now += 59
    with pytest.raises(CredentialRefused, match="tried again in 1 s"):
        await client(transport, upstream, WRONG).check()
    assert len(gate.tried) == 1
    clock.now += 2
    with pytest.raises(CredentialRefused):
        await client(transport, upstream, WRONG).check()
    assert len(gate.tried) == 2


async def test_a_changed_password_is_tried_at_once(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate
) -> None:
    """What was remembered is about the wrong one."""
    with pytest.raises(CredentialRefused):
        await client(transport, upstream, WRONG).check()
    await client(transport, upstream, ALICE).check()


async def test_many_who_begin_with_a_wrong_password_make_one_attempt(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate
) -> None:
    """Fifty artifacts that are synced at once do not lock the account that they share."""
    registries = [client(transport, upstream, WRONG, f"team/app{number}") for number in range(50)]
    outcomes = await asyncio.gather(*(registry.check() for registry in registries), return_exceptions=True)
    assert all(isinstance(outcome, CredentialRefused) for outcome in outcomes)
    assert len(gate.tried) == 1


async def test_a_password_that_is_changed_upstream_is_noticed(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate
) -> None:
    """The one that was good is shown once more, and then not again."""
    registry = client(transport, upstream, ALICE)
    await registry.check()
    gate.users["alice"] = "another"
    for _ in range(3):
        with pytest.raises(CredentialRefused):
            await registry.check()
    assert len(gate.tried) == 2


async def test_a_repository_that_is_not_there_says_nothing_against_the_password(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate
) -> None:
    """Who is let in, and does not find it, is told that."""
    registry = Registry(transport, Upstream.parse(f"{upstream.host}/gone", plain_http=True), ALICE)
    for _ in range(2):
        with pytest.raises(UpstreamNotFound):
            await registry.check()


async def test_no_password_stays_in_memory(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate
) -> None:
    """What a registry said of a credential is known after the credential is gone, and known without it."""
    await client(transport, upstream, ALICE).check()
    with pytest.raises(CredentialRefused):
        await client(transport, upstream, WRONG).check()
    for credential in (ALICE, WRONG):
        assert not remembers(transport.tokens, credential.password)
    await client(transport, upstream, ALICE).check()
    with pytest.raises(CredentialRefused, match="tried again in"):
        await client(transport, upstream, WRONG).check()
    assert [password for _, password in gate.tried] == [ALICE.password, WRONG.password, ALICE.password]


@pytest.fixture
def tokens(tmp_path: Path) -> TokenServer:
    """A token server that knows alice; to be entered."""
    return TokenServer(tmp_path, {ALICE.username: ALICE.password})


async def test_bearer_with_a_password(
    transport: Transport, upstream: FakeRegistry, tokens: TokenServer
) -> None:
    """The password goes to the token service and not to the registry; the token reads."""
    with tokens:
        upstream.gate = BearerGate(tokens)
        registry = client(transport, upstream, ALICE)
        for _ in range(3):
            await registry.get_manifest("1.0")
        assert len(tokens.issued) == 1
        assert tokens.saw(ALICE.password)
        assert not upstream.saw(ALICE.password)


async def test_each_credential_has_its_tokens(
    transport: Transport, upstream: FakeRegistry, tokens: TokenServer
) -> None:
    """What one may read, another is not given: not even by the same repository's name."""
    tokens.users["bob"] = "bob's password"
    with tokens:
        upstream.gate = BearerGate(tokens)
        for credential in (ALICE, Basic("bob", "bob's password"), None, ALICE):
            await client(transport, upstream, credential).check()
        assert len(tokens.issued) == 3


async def test_a_password_that_the_token_service_refuses_is_tried_once(
    transport: Transport, upstream: FakeRegistry, tokens: TokenServer
) -> None:
    """Nor do many who begin at once try more."""
    with tokens:
        upstream.gate = BearerGate(tokens)
        registries = [client(transport, upstream, WRONG, f"team/app{number}") for number in range(20)]
        outcomes = await asyncio.gather(*(one.check() for one in registries), return_exceptions=True)
        assert all(isinstance(outcome, CredentialRefused) for outcome in outcomes)
        assert len(tokens.received) == 1


async def test_a_token_is_better_than_the_password_itself(
    transport: Transport, upstream: FakeRegistry, tokens: TokenServer
) -> None:
    """Of a registry that takes both, the token is shown."""
    with tokens:
        bearer = BearerGate(tokens)
        upstream.gate = bearer

        class Both:
            def refuse(self, headers: object, repository: str) -> Refusal | None:
                found = bearer.refuse(headers, repository)  # type: ignore[arg-type]
                return found and Refusal(401, "X", "x", f'Basic realm="x", {found.challenge}')

        upstream.gate = Both()
        await client(transport, upstream, ALICE).check()
        assert not upstream.saw(ALICE.password)


async def test_what_the_upstream_repeats_of_the_password_is_not_passed_on(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate
) -> None:
    """Its own words are left out where they have the header, or the password in it."""
    for echo in (ALICE.password, ALICE.header.split()[1]):
        body = f'{{"errors": [{{"code": "DENIED", "message": "no {echo}"}}]}}'.encode()
        upstream.faults.add("tags", status=403, body=body, times=1)
        with pytest.raises(UpstreamDenied) as caught:
            await client(transport, upstream, ALICE).check()
        assert echo not in str(caught.value)
        assert "(DENIED" not in str(caught.value)


async def test_a_missing_permission_is_named(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate
) -> None:
    """As AWS calls it; also where a HEAD was refused, whose answer has no words."""
    message = (
        "User: arn:aws:iam::123456789012:user/x is not authorized to perform: ecr:BatchGetImage on resource"
    )
    body = f'{{"errors": [{{"code": "DENIED", "message": "{message}"}}]}}'.encode()
    upstream.faults.add("manifests", status=403, body=body)
    with pytest.raises(PermissionMissing, match="lacks the permission ecr:BatchGetImage") as caught:
        await client(transport, upstream, ALICE).head_manifest("1.0")
    assert caught.value.permission == "ecr:BatchGetImage"


@dataclass
class Renewed:
    """A source that has another credential when the first is refused."""

    credentials: list[Basic]
    told: list[str] = field(default_factory=list)

    async def get(self, *, refused: Basic | None = None) -> Basic | None:
        if refused == self.credentials[0] and len(self.credentials) > 1:
            del self.credentials[0]
        return self.credentials[0]

    def accepted(self) -> None:
        self.told.append("accepted")

    def rejected(self, error: CredentialRefused) -> None:
        self.told.append("rejected")


async def test_a_credential_that_ended_is_renewed_unnoticed(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate
) -> None:
    """Whoever reads does not learn that the first was refused."""
    source = Renewed([WRONG, ALICE])
    assert (await client(transport, upstream, source).get_manifest("1.0")).digest == IMAGE.digest
    assert source.told == ["accepted"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_one_that_ecr_calls_expired_is_renewed_unnoticed(
    transport: Transport, upstream: FakeRegistry, method: str
) -> None:
    """ECR says 403 to a token that has ended; to HEAD without a word of why."""

    class Expired:
        def refuse(self, headers: dict[str, str], repository: str) -> Refusal | None:
            shown = headers.get("Authorization", "")
            if shown == ALICE.header:
                return None
            if shown == WRONG.header:
                return Refusal(403, "DENIED", "Your authorization token has expired. Reauthenticate.")
            return Refusal(401, "UNAUTHORIZED", "x", 'Basic realm="x"')

    upstream.gate = Expired()  # type: ignore[assignment]
    registry = client(transport, upstream, Renewed([WRONG, ALICE]))
    found = await (registry.get_manifest("1.0") if method == "GET" else registry.head_manifest("1.0"))
    assert found is not None
    assert found.digest == IMAGE.digest


async def test_the_source_hears_of_a_refusal_that_nothing_helps_against(
    transport: Transport, upstream: FakeRegistry, gate: BasicGate
) -> None:
    """Once, after everything was tried."""
    source = Renewed([WRONG])
    with pytest.raises(CredentialRefused):
        await client(transport, upstream, source).check()
    assert source.told == ["rejected"]


async def test_access_with_a_password(transport: Transport, upstream: FakeRegistry, gate: BasicGate) -> None:
    """Where the registry gives nothing that ends, a node has to be handed the header itself."""
    access = await client(transport, upstream, ALICE).authorization()
    assert base64.b64decode(access.value.split()[1]).decode() == f"alice:{ALICE.password}"
    assert access.expires_at is None


async def test_one_trial_at_a_time_until_it_is_known(clock: Clock) -> None:
    """The second waits for the first's verdict, and then goes on beside others."""
    attempts = Attempts(clock)
    upstream = Upstream.parse("registry.example.com/a")
    order: list[str] = []

    async def first() -> None:
        async with attempts.trial(upstream, ALICE):
            order.append("first in")
            await asyncio.sleep(0)
            order.append("first out")
            attempts.accept(upstream, ALICE)

    async def later(name: str) -> None:
        async with attempts.trial(upstream, ALICE):
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    await asyncio.gather(first(), later("second"), later("third"))
    assert order[:2] == ["first in", "first out"]
    assert order[2:4] == ["second in", "third in"]
