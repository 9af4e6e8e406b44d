"""Sign-ins that are refused: counted by what they are, slowed down, told of, in bounded memory."""

import pytest

from clients.control.token import TokenKind, new_token, sha256
from clients.process.attempts import Attempts
from dataplane.access.sign_in import SignInRefused, SignIns
from dataplane.access.uses import Use, Uses
from dataplane.config.configuration import Configuration
from dataplane.config.draft import apply, from_message
from dataplane.config.encode import encode
from penstock.v1.config_pb2 import Configuration as Message
from penstock.v1.config_pb2 import ConfigurationChange, OrganizationConfig, TokenConfig

GOOD, ENDED, TAKEN = (new_token(TokenKind.USER) for _ in range(3))


def configuration() -> Configuration:
    """One token that is good, one that ended at 100, one that was taken back."""
    tokens = [
        TokenConfig(uid=uid, sha256=sha256(secret), organization_uid="org", user_uid="user", role=1)
        for uid, secret in (("good", GOOD), ("ended", ENDED), ("taken", TAKEN))
    ]
    tokens[1].expire_time.FromSeconds(100)
    message = Message(
        revision=1, organizations=[OrganizationConfig(uid="org", organization_id="acme")], tokens=tokens
    )
    change = ConfigurationChange(from_revision=1, to_revision=2, removed_token_uids=["taken"])
    return apply(from_message(message), change)


def refused(sign_ins: SignIns, token: str, address: str = "192.0.2.1", now: float = 1000.0) -> float:
    """The wait that a refused sign-in gets."""
    with pytest.raises(SignInRefused) as caught:
        sign_ins.admit(token and f"Bearer {token}", address, configuration(), now)
    return caught.value.wait


def test_what_was_wrong_is_counted() -> None:
    """And told of with the token where it is known; who sends nothing has not tried."""
    sign_ins = SignIns()
    for token in ("", "guess", new_token(TokenKind.USER), ENDED, TAKEN, ENDED):
        refused(sign_ins, token)
    failures = sign_ins.failures
    assert (failures.malformed, failures.unknown, failures.expired, failures.revoked) == (1, 1, 2, 1)
    _, told = sign_ins.uses.take(10)
    assert sorted((each.token_uid, each.count) for each in told) == [("", 2), ("ended", 2), ("taken", 1)]


def test_a_token_is_known_as_revoked_after_a_whole_configuration_too() -> None:
    """A node that was cut off meanwhile is sent the whole: what is not in it any more was taken back."""
    before = configuration()
    message = Message(revision=9, organizations=[OrganizationConfig(uid="org", organization_id="acme")])
    after = from_message(message, before)
    sign_ins = SignIns()
    for token in (GOOD, TAKEN, new_token(TokenKind.USER)):
        with pytest.raises(SignInRefused):
            sign_ins.admit(f"Bearer {token}", "192.0.2.1", after, 1000.0)
    assert (sign_ins.failures.revoked, sign_ins.failures.unknown) == (2, 1)
    again = from_message(Message.FromString(encode(before)), after)
    assert again.revoked.keys() == {sha256(TAKEN)}


def test_who_goes_on_waits_longer_and_longer() -> None:
    """Nothing at first, then more with each, up to a minute; forgotten when it stops."""
    sign_ins = SignIns()
    waits = [refused(sign_ins, "guess") for _ in range(60)]
    assert waits[:20] == [0.0] * 20
    assert waits[20:40] == [3.0 * number for number in range(1, 21)]
    assert waits[40:] == [60.0] * 20
    assert sign_ins.failures.slowed == 40
    assert refused(sign_ins, "guess", now=1200.0) == 0.0


def test_a_good_token_passes_from_any_address() -> None:
    """However many were refused there a moment ago."""
    sign_ins = SignIns()
    for _ in range(100):
        refused(sign_ins, "guess")
    principal = sign_ins.admit(f"Bearer {GOOD}", "192.0.2.1", configuration(), 1000.0)
    assert principal.token_uid == "good"
    assert sign_ins.uses.take(10)[0] == [Use("good", "192.0.2.1", 1000.0)]


@pytest.mark.parametrize(("token", "slowed"), [(ENDED, True), (TAKEN, True), ("guess", False)])
def test_a_token_that_ended_is_slowed_down_wherever_it_comes_from(token: str, slowed: bool) -> None:
    """A whole cluster may come with it; other addresses' guesses have nothing in common."""
    sign_ins = SignIns()
    waits = [refused(sign_ins, token, f"192.0.2.{number}") for number in range(25)]
    assert (waits[-1] > 0) is slowed


def test_a_clock_put_back_keeps_nobody_waiting_for_good() -> None:
    """The wait is never longer than its maximum, and ends."""
    attempts = Attempts()
    for _ in range(100):
        attempts.refused("address", 1e9)
    assert attempts.refused("address", 0.0) <= 60.0
    assert attempts.refused("address", 200.0) == 0.0


def test_memory_is_bounded() -> None:
    """With a hundred thousand addresses that try."""
    sign_ins = SignIns()
    for number in range(100_000):
        sign_ins.uses.refused(f"2001:db8::{number:x}", "", 1000.0)
        sign_ins._attempts.refused(f"2001:db8::{number:x}", 1000.0)
    assert len(sign_ins.uses) == len(sign_ins._attempts) == 10_000


def test_it_is_told_in_portions() -> None:
    """Each once."""
    uses = Uses()
    for number in range(25):
        uses.used(f"token-{number}", "192.0.2.1", 1.0)
    portions = [uses.take(10)[0] for _ in range(4)]
    assert [len(portion) for portion in portions] == [10, 10, 5, 0]
    assert len({use.token_uid for portion in portions for use in portion}) == 25
