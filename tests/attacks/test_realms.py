"""Attacks by the realm of a challenge: a registry that wants its user's password brought somewhere else."""

from pathlib import Path

import pytest

from tests.attacks.scene import PASSWORD, TOKEN, VENDOR, Scene, staged, token_reply
from tests.fakes.endpoint import Reply
from tests.servers.certificates import Authority


async def test_the_honest_realm(scene: Scene) -> None:
    """No attack: the vendor's own token service gets the password, and the token reads the image."""
    scene.name_realm(f"{scene.desk_url}/token")
    assert (await scene.client().get_manifest("1.0")).media_type
    assert scene.desk.saw(PASSWORD)
    assert scene.registry.saw(TOKEN)
    assert not scene.registry.saw(PASSWORD)
    assert scene.safe()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, id=what)
        for what, name in {
            "another-domain": "thief.example",
            "name-that-ends-alike": "evilvendor.example",
            "name-that-begins-alike": "registry.vendor.example.thief.example",
            "only-the-top-level-in-common": "registry.example",
            "sibling-of-another-top-level": "registry.vendor.test",
        }.items()
    ],
)
async def test_realm_of_a_thief(scene: Scene, name: str) -> None:
    """A token service of another owner is not even connected to, however alike the names look."""
    scene.internet.resolve(name, scene.thief.host.partition(":")[0])
    scene.name_realm(f"https://{name}:{scene.thief.host.partition(':')[2]}/token")
    assert "token service" in await scene.refused()
    assert scene.thief.received == []
    assert scene.desk.received == []


@pytest.mark.parametrize(
    ("vendor", "thief"),
    [
        ("vendor.azurecr.io", "thief.azurecr.io"),
        ("europe-docker.pkg.dev", "thief.pkg.dev"),
        ("vendor.co.uk", "thief.co.uk"),
        ("registry.vendor.eu-west-1.amazonaws.com", "thief.s3.amazonaws.com"),
        ("vendor.github.io", "thief.github.io"),
    ],
)
async def test_realm_of_another_customer_of_the_same_provider(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, vendor: str, thief: str
) -> None:
    """What is one domain by its last two labels may belong to as many owners as there are names below it."""
    async with staged(tmp_path, authority, monkeypatch, vendor=vendor) as scene:
        scene.internet.resolve(thief, scene.thief.host.partition(":")[0])
        scene.name_realm(f"https://{thief}:{scene.thief.host.partition(':')[2]}/token")
        assert "another owner" in await scene.refused()
        assert scene.thief.received == []


@pytest.mark.parametrize(
    "realm",
    [
        pytest.param(realm, id=what)
        for what, realm in {
            "http": "http://auth.vendor.example:{clear}/token",
            "loopback": "https://127.0.0.1:{inside}/token",
            "loopback-on-http": "http://127.0.0.1:{inside}/token",
            "metadata-service": "https://169.254.169.254/latest/meta-data/iam/security-credentials/",
            "metadata-service-on-http": "http://169.254.169.254/latest/meta-data/",
            "ipv6-loopback": "https://[::1]:{inside}/token",
            "ipv4-in-ipv6": "https://[::ffff:127.0.0.1]:{inside}/token",
            "decimal-address": "https://2130706433:{inside}/token",
            "short-address": "https://127.1:{inside}/token",
            "localhost": "https://localhost:{inside}/token",
            "user-info": "https://registry.vendor.example@thief.example:{thief}/token",
            "backslash": "https://thief.example:{thief}\\\\@registry.vendor.example/token",
            "file": "file:///etc/passwd",
            "gopher": "gopher://registry.vendor.example/x",
            "relative": "/token",
            "without-scheme": "//thief.example:{thief}/token",
            "control-characters": "https://registry.vendor.example\t.thief.example/token",
            "empty": "",
        }.items()
    ],
)
async def test_realm_at_a_forbidden_url(scene: Scene, realm: str) -> None:
    """A realm that leaves TLS, is inside, or is no proper URL gets no request at all."""
    scene.name_realm(realm.format(**scene.ports()))
    sentence = await scene.refused()
    assert VENDOR in sentence
    assert "token service" in sentence
    assert scene.thief.received == scene.desk.received == []
    assert scene.safe()


async def test_realm_whose_name_resolves_to_a_private_address(scene: Scene) -> None:
    """The right domain is not enough: where it leads is looked at before anything is sent."""
    scene.internet.resolve("token.vendor.example", "127.0.0.1")
    scene.name_realm(f"https://token.vendor.example:{scene.inside.host.partition(':')[2]}/token")
    assert "private or reserved address" in await scene.refused()
    assert scene.safe()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["thief", "desk"])
async def test_redirect_of_a_token_request(scene: Scene, status: int, target: str) -> None:
    """A token service that sends the password on is not followed, not even to its own domain."""
    scene.name_realm(f"{scene.desk_url}/token")
    where = {"thief": scene.thief_url, "desk": scene.desk_url}[target]
    scene.desk.reply = Reply(status, b"", {"Location": f"{where}/elsewhere"})
    await scene.refused()
    assert scene.thief.received == []
    assert [received.path for received in scene.desk.received if "elsewhere" in received.path] == []


async def test_token_service_with_a_challenge_of_its_own(scene: Scene) -> None:
    """A 401 of the token service is the end: no realm that it names is asked in turn."""
    scene.name_realm(f"{scene.desk_url}/token")
    challenge = f'Bearer realm="{scene.thief_url}/token",service="x"'
    scene.desk.reply = Reply(401, b"{}", {"WWW-Authenticate": challenge})
    await scene.refused()
    assert scene.thief.received == []
    assert len(scene.desk.received) <= 2


@pytest.mark.parametrize(
    "scope",
    [
        "repository:team/app:pull,push,delete",
        "repository:other/private:pull",
        "registry:catalog:*",
        "repository:team/app:* repository:other/private:*",
    ],
)
async def test_scope_that_asks_for_more(scene: Scene, scope: str) -> None:
    """Whatever the challenge suggests, the token is one for reading this repository."""
    scene.name_realm(f"{scene.desk_url}/token", f',scope="{scope}"')
    await scene.client().get_manifest("1.0")
    (asked,) = scene.desk.received
    assert asked.query["scope"] == ["repository:team/app:pull"]


async def test_parameters_smuggled_in_the_service(scene: Scene) -> None:
    """What a challenge names is a value in the query of the token request, and cannot add to it."""
    scene.challenge(
        f'Bearer realm="{scene.desk_url}/token",service="v&scope=repository:other/private:pull&x=#"'
    )
    await scene.client().get_manifest("1.0")
    (asked,) = scene.desk.received
    assert asked.query["scope"] == ["repository:team/app:pull"]
    assert asked.query["service"] == ["v&scope=repository:other/private:pull&x=#"]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"token": "abc\r\nX-Injected: yes"}, id="line-break"),
        pytest.param({"token": "abc def"}, id="blank"),
        pytest.param({"token": ["abc"]}, id="list"),
        pytest.param({"token": ""}, id="empty"),
        pytest.param({"token": "\u0100"}, id="not-ascii"),
        pytest.param({}, id="none"),
    ],
)
async def test_token_that_would_break_a_header(scene: Scene, fields: dict[str, object]) -> None:
    """What cannot stand in an Authorization header is no token."""
    scene.name_realm(f"{scene.desk_url}/token")
    scene.desk.reply = token_reply(**fields)
    assert "token" in await scene.refused()
    assert all("X-Injected" not in seen.headers for seen in scene.registry.requests)
