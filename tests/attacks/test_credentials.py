"""Attacks on a credential itself: echoing it, borrowing another's, guessing it, and locking its account."""

import asyncio
import base64
import traceback
from pathlib import Path

import pytest

from clients.oci.credential import Basic
from clients.oci.errors import CredentialRefused, UpstreamError
from clients.oci.registry import Registry
from clients.oci.request import Request
from clients.oci.upstream import InvalidUpstream, Upstream
from tests.attacks.scene import IMAGE, PASSWORD, SECRETS, TOKEN, USER, VENDOR, Scene
from tests.fakes.endpoint import Reply
from tests.fakes.gates import BasicGate
from tests.fakes.secrets import occurs
from tests.servers.certificates import Authority

HEADER = Basic(USER, PASSWORD).header


@pytest.fixture
def gate(scene: Scene) -> BasicGate:
    """The registry wants alice's password itself."""
    scene.registry.gate = gate = BasicGate({USER: PASSWORD})
    return gate


async def test_password_shown_to_the_storage_behind_a_redirect(scene: Scene, gate: BasicGate) -> None:
    """Basic is bound to its origin as much as a token is, and more dangerous to lose."""
    scene.registry.faults.add("blobs", redirect=scene.thief_url)
    scene.registry.faults.add("manifests", redirect=scene.thief_url)
    await scene.client().check()
    await scene.blob(HEADER)
    await scene.refused(scene.client().get_manifest("1.0"))
    assert gate.tried
    assert len(scene.thief.received) == 2
    assert scene.safe()


@pytest.mark.parametrize("form", ["header", "credential", "password", "reversed-order"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_error_that_repeats_the_password(scene: Scene, gate: BasicGate, status: int, form: str) -> None:
    """What an upstream says of itself is passed on to users, but not what it was shown."""
    shown = {
        "header": HEADER,
        "credential": HEADER.removeprefix("Basic "),
        "password": PASSWORD,
        "reversed-order": f"{PASSWORD}:{USER}",
    }[form]
    await scene.client().check()
    body = f'{{"errors": [{{"code": "DENIED", "message": "no entry with {shown}"}}]}}'.encode()
    scene.registry.faults.add("manifests", status=status, body=body)
    sentence = await scene.refused()
    assert not occurs(PASSWORD, sentence.encode())


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_token_service_that_repeats_the_password(scene: Scene, status: int) -> None:
    """Neither is what a token service says of it."""
    scene.name_realm(f"{scene.desk_url}/token")
    body = f'{{"errors": [{{"code": "{PASSWORD}", "message": "{HEADER}"}}], "details": "{PASSWORD}"}}'
    scene.desk.reply = Reply(status, body.encode(), {"WWW-Authenticate": f'Basic realm="{PASSWORD}"'})
    sentence = await scene.refused()
    assert not occurs(PASSWORD, sentence.encode())


async def test_traceback_and_representations(scene: Scene, gate: BasicGate) -> None:
    """Whoever prints an error with all its causes, or a value that carries a secret, prints no secret."""
    scene.registry.faults.add("manifests", drop=True)
    with pytest.raises(UpstreamError) as caught:
        await scene.client().get_manifest("1.0")
    request = Request(host=VENDOR, url=scene.registry.base_url, authorization=HEADER)  # type: ignore[arg-type]
    text = "".join(traceback.format_exception(caught.value))
    values = repr([Basic(USER, PASSWORD), request, scene.client(), scene.transport.tokens])
    assert "Basic(" in values
    assert not [secret for secret in SECRETS if occurs(secret, (text + values).encode())]


async def test_token_of_another_user_of_the_same_repository(scene: Scene) -> None:
    """What alice's password got is not lent to somebody who has none, or a wrong one."""
    scene.name_realm(f"{scene.desk_url}/token")
    await scene.client().get_manifest("1.0")
    scene.desk.reply = Reply(401, b"{}")
    upstream = Upstream.parse(f"{scene.host}/team/app")
    for other in (None, Basic("mallory", "guess-1"), Basic(USER, "guess-2")):
        await scene.refused(Registry(scene.transport, upstream, other).get_manifest("1.0"))


async def test_password_of_another_user_of_the_same_registry(scene: Scene, gate: BasicGate) -> None:
    """Neither is a password that the registry took a moment ago."""
    await scene.client().get_manifest("1.0")
    upstream = Upstream.parse(f"{scene.host}/team/app")
    for other in (None, Basic("mallory", "guess-1"), Basic(USER, "guess-2")):
        await scene.refused(Registry(scene.transport, upstream, other).get_manifest("1.0"))


async def test_token_for_another_repository(scene: Scene) -> None:
    """A token is asked for one repository, and shown for no other."""
    scene.name_realm(f"{scene.desk_url}/token")
    scene.registry.add(IMAGE, "team/other", ["1.0"])
    await scene.client("team/app").get_manifest("1.0")
    await scene.client("team/other").get_manifest("1.0")
    scopes = [received.query["scope"] for received in scene.desk.received]
    assert scopes == [["repository:team/app:pull"], ["repository:team/other:pull"]]


async def test_lock_out_by_a_wrong_password_at_the_registry(scene: Scene, gate: BasicGate) -> None:
    """However much is pulled, a wrong password is tried once a minute, and a changed one at once."""
    for _ in range(2):
        await _try_wrong(scene)
        assert [password for _, password in gate.tried] == ["wrong"]
    scene.clock.now += 61
    await _try_wrong(scene)
    assert [password for _, password in gate.tried] == ["wrong"] * 2
    await scene.client().get_manifest("1.0")


async def test_lock_out_by_a_wrong_password_at_the_token_service(scene: Scene) -> None:
    """The same where it is a token service that counts attempts."""
    scene.name_realm(f"{scene.desk_url}/token")
    scene.desk.reply = Reply(401, b"{}")
    for _ in range(2):
        await _try_wrong(scene)
        assert len(scene.desk.received) == 1
    scene.clock.now += 61
    await _try_wrong(scene)
    assert len(scene.desk.received) == 2


async def test_lock_out_by_many_repositories(scene: Scene, gate: BasicGate) -> None:
    """It is one account, whichever repository it is used for."""
    clients = [scene.client(f"team/app{number}", password="wrong") for number in range(20)]
    answers = await asyncio.gather(*(client.check() for client in clients), return_exceptions=True)
    assert all(isinstance(answer, CredentialRefused) for answer in answers)
    assert len(gate.tried) == 1


@pytest.mark.parametrize(
    "upstream",
    [
        f"{USER}:{PASSWORD}@registry.vendor.example/team/app",
        f"https://{USER}:{PASSWORD}@registry.vendor.example/team/app",
        f"registry.vendor.example/team/app?token={TOKEN}",
        f"registry.vendor.example/{USER}:{PASSWORD}@team/app",
    ],
)
def test_password_in_the_url_of_an_upstream(upstream: str) -> None:
    """It is refused, and not repeated in the sentence that says so."""
    with pytest.raises(InvalidUpstream) as caught:
        Upstream.parse(upstream)
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


@pytest.mark.parametrize("name", ["alice\r\nX-Injected", "alice\x00", "älice", "alice "])
async def test_user_name_that_would_break_a_header(scene: Scene, gate: BasicGate, name: str) -> None:
    """Name and password travel in base64: nothing in them can end a header and begin another."""
    gate.users[name] = "p\r\nX-Injected: yes"
    credential = Basic(name, "p\r\nX-Injected: yes")
    client = Registry(scene.transport, Upstream.parse(f"{scene.host}/team/app"), credential)
    await client.get_manifest("1.0")
    assert base64.b64encode(name.encode())[:6].decode() in credential.header
    assert all("X-Injected" not in seen.headers for seen in scene.registry.requests)


def test_user_name_with_a_colon() -> None:
    """It would move the border between name and password."""
    with pytest.raises(ValueError, match="colon"):
        Basic("alice:x", PASSWORD)


async def test_certificate_of_somebody_else(scene: Scene, gate: BasicGate, tmp_path: Path) -> None:
    """Where an upstream has certificates of its own, no other authority can vouch for it, however public."""
    upstream = Upstream.parse(f"{scene.host}/team/app")
    pinned = Registry(
        scene.transport, upstream, Basic(USER, PASSWORD), ca_certificates=Authority("Vendor's own CA").pem
    )
    await scene.client().get_manifest("1.0")
    shown = len(scene.registry.requests)
    assert "TLS" in await scene.refused(pinned.get_manifest("1.0"))
    assert len(scene.registry.requests) == shown, "a connection that others trust must not be borrowed"


async def test_authority_of_one_upstream_vouching_for_another(scene: Scene) -> None:
    """A private authority is trusted for the upstream that it was given for, and for no other."""
    private = Authority("Private CA")
    scene.internet.resolve("other.example", scene.registry.host.partition(":")[0])
    port = scene.host.partition(":")[2]
    other = Upstream.parse(f"other.example:{port}/team/app")
    trusting = Registry(
        scene.transport, Upstream.parse(f"{scene.host}/team/app"), ca_certificates=private.pem
    )
    for client in (trusting, Registry(scene.transport, other, Basic(USER, PASSWORD))):
        assert "TLS" in await scene.refused(client.get_manifest("1.0"))
    assert scene.registry.requests == []


async def _try_wrong(scene: Scene) -> None:
    attempts = [scene.client(password="wrong").get_manifest("1.0") for _ in range(20)]
    answers = await asyncio.gather(*attempts, return_exceptions=True)
    assert all(isinstance(answer, CredentialRefused) for answer in answers), answers
    assert all("password" in str(answer) for answer in answers)
