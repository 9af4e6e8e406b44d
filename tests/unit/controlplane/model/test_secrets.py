"""Secrets at rest: sealed under a ring of keys, opened only where and with what they were sealed."""

import stat
from pathlib import Path

import pytest

from clients.process.exits import ConfigurationError
from controlplane.model.secrets import Key, Keyring, SealBroken, load_keyring, read_keyring, save_keyring


def ring_of(count: int = 1) -> Keyring:
    """A ring of new keys."""
    return Keyring(tuple(Key.generate() for _ in range(count)))


def test_a_sealed_secret_opens_again_and_does_not_show() -> None:
    """What is stored neither is the secret nor repeats itself, and gives the secret back."""
    ring = ring_of()
    sealed = ring.seal("correct horse", "credential/1/password")
    assert "horse" not in sealed
    assert sealed != ring.seal("correct horse", "credential/1/password")
    assert ring.open(sealed, "credential/1/password") == "correct horse"


def test_a_sealed_secret_does_not_open_in_another_row() -> None:
    """Somebody who can write the database cannot move one organization's secret to another's row."""
    ring = ring_of()
    sealed = ring.seal("secret", "credential/1/password")
    with pytest.raises(SealBroken, match="set it anew"):
        ring.open(sealed, "credential/2/password")


@pytest.mark.parametrize("position", [0, 5, 20, -3])
def test_a_changed_secret_does_not_open(position: int) -> None:
    """One changed character anywhere is noticed."""
    ring = ring_of()
    sealed = ring.seal("secret", "place")
    at = position % len(sealed)
    changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
    with pytest.raises(SealBroken):
        ring.open(changed, "place")


@pytest.mark.parametrize("sealed", ["", "v1", "v1.00000000.", "v2.a.b", "v1.a.b.c"])
def test_what_was_never_sealed_does_not_open(sealed: str) -> None:
    """Nonsense in the column is an error in words."""
    with pytest.raises(SealBroken):
        ring_of().open(sealed, "place")


def test_a_new_first_key_seals_while_old_ones_still_open() -> None:
    """Rotation is: add a key in front, seal everything again, drop the old ones."""
    old = ring_of()
    both = Keyring((Key.generate(), *old.keys))
    sealed = old.seal("secret", "place")
    assert both.open(sealed, "place") == "secret"
    assert not both.is_current(sealed)
    again = both.seal("secret", "place")
    assert both.is_current(again)
    with pytest.raises(SealBroken, match="does not have"):
        old.open(again, "place")


def test_the_first_start_makes_a_key_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    """The embedded default needs no setting, and gives the same ring at the next start."""
    path = tmp_path / "encryption-keys"
    ring = load_keyring(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_keyring(path) == ring


def test_a_saved_ring_keeps_its_order(tmp_path: Path) -> None:
    """The newest key stays the one that seals."""
    path = tmp_path / "encryption-keys"
    ring = ring_of(3)
    save_keyring(path, ring)
    assert load_keyring(path).keys == ring.keys


@pytest.mark.parametrize("text", ["", "not base64!", "c2hvcnQ=", "é"])
def test_a_key_that_is_none_is_refused_without_being_shown(text: str) -> None:
    """The sentence names the setting and an example, never what it held."""
    with pytest.raises(ConfigurationError, match="PENSTOCK_ENCRYPTION_KEYS does not hold") as refused:
        read_keyring(text, "PENSTOCK_ENCRYPTION_KEYS")
    assert not text.strip() or text not in str(refused.value)


def test_a_key_never_shows_in_a_representation() -> None:
    """A ring that ends up in a log line gives nothing away."""
    ring = ring_of()
    assert str(ring.keys[0]) not in repr(ring)
