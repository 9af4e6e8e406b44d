"""Attacks by the challenge itself: malformed, endless, or for the wrong kind of authentication."""

import pytest

from tests.attacks.scene import PASSWORD, Scene


@pytest.mark.parametrize(
    "challenge",
    [
        pytest.param(challenge, id=what)
        for what, challenge in {
            "unterminated-quotes": 'Bearer realm="{desk}/token,service=vendor',
            "escape-at-the-end": 'Bearer realm="{desk}/token\\',
            "unterminated-after-a-good-one": 'Basic realm="x", Bearer realm="{desk}/token',
            "two-realms": 'Bearer realm="{desk}/token",realm="{thief}/token"',
            "two-realms-in-two-cases": 'Bearer realm="{desk}/token",REALM="{thief}/token"',
            "no-realm": 'Bearer service="vendor"',
            "parameter-without-scheme": 'realm="{desk}/token"',
            "junk": 'Bearer realm="{desk}/token"; service=x',
            "bare-url": "Bearer realm={desk}/token",
            "nothing": "",
            "unknown-scheme": 'Negotiate realm="{desk}/token"',
            "64-KiB-of-commas": "Bearer " + "," * 65000,
            "many-challenges": ",".join(f"Scheme{n} a=b" for n in range(2000)),
        }.items()
    ],
)
async def test_challenge_with(scene: Scene, challenge: str) -> None:
    """It is refused with a sentence, and nobody gets the password on the strength of it."""
    scene.challenge(challenge.replace("{desk}", scene.desk_url).replace("{thief}", scene.thief_url))
    assert "vendor.example" in await scene.refused()
    assert scene.thief.received == []
    assert not scene.desk.saw(PASSWORD)


async def test_realm_hidden_in_a_quoted_string(scene: Scene) -> None:
    """Commas and quotes inside quotes are text: they begin no parameter and no challenge."""
    inner = f'x\\", realm=\\"{scene.thief_url}/token\\", y=\\"'
    scene.challenge(f'Bearer service="{inner}",realm="{scene.desk_url}/token"')
    await scene.client().get_manifest("1.0")
    assert scene.desk.saw(PASSWORD)
    assert scene.thief.received == []


async def test_challenge_of_the_storage_behind_a_redirect(scene: Scene) -> None:
    """Only the registry itself may say where its password belongs, and not where it redirects to."""
    scene.name_realm(f"{scene.desk_url}/token")
    await scene.client().get_manifest("1.0")
    before = len(scene.desk.received)
    scene.registry.faults.add("manifests", redirect=scene.thief_url)
    for scheme in ("Basic", "Bearer"):
        scene.thief.reply = scene.thief.reply.__class__(
            401, b"{}", {"WWW-Authenticate": f'{scheme} realm="{scene.thief_url}/token"'}
        )
        await scene.refused(scene.client().get_manifest("1.0"))
    assert scene.thief.received
    assert scene.safe()
    assert len(scene.desk.received) == before


async def test_challenge_without_an_end(scene: Scene) -> None:
    """A registry that is never content is asked a few times, and no more."""
    scene.name_realm(f"{scene.desk_url}/token")
    assert scene.registry.tokens is not None
    scene.registry.tokens.issued.clear()
    await scene.refused()
    assert len(scene.registry.requests) < 6
    assert len(scene.desk.received) < 4
