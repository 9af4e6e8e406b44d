"""The key ring in use: from the environment or a file, and rotated while others use it."""

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from clients.process.exits import ConfigurationError
from controlplane.model import keys as keys_module
from controlplane.model import secrets
from controlplane.model.keys import Keys, KeysAreSet
from controlplane.model.secrets import Key, Keyring, SealBroken, load_keyring


def in_file(tmp_path: Path) -> Keys:
    """What a process that has no setting uses."""
    return Keys("", tmp_path / "encryption-keys")


def test_without_a_setting_a_file_is_made_that_only_its_owner_reads(tmp_path: Path) -> None:
    """And the next start opens what the first one sealed."""
    sealed = in_file(tmp_path).seal("secret", "here")
    assert stat.S_IMODE((tmp_path / "encryption-keys").stat().st_mode) == 0o600
    assert in_file(tmp_path).open(sealed, "here") == "secret"


def test_keys_of_the_environment_leave_the_file_alone(tmp_path: Path) -> None:
    """Nothing is written next to a database that others may copy."""
    keys = Keys(str(Key.generate()), tmp_path / "encryption-keys")
    assert keys.open(keys.seal("secret", "here"), "here") == "secret"
    assert list(tmp_path.iterdir()) == []


def test_nonsense_in_the_environment_ends_the_start(tmp_path: Path) -> None:
    """Rather than that a key is made up which nobody has."""
    with pytest.raises(ConfigurationError, match="PENSTOCK_ENCRYPTION_KEYS does not hold"):
        Keys("nonsense", tmp_path / "encryption-keys")


def test_rotation_seals_with_a_new_key_and_drops_old_ones(tmp_path: Path) -> None:
    """The one before is kept: a replica that has not read the file since may just have used it."""
    keys = in_file(tmp_path)
    first = keys.seal("secret", "here")
    for _ in range(2):
        before = keys.seal("secret", "here")
        newest = keys.begin_rotation()
        assert not keys.is_current(before)
        assert keys.open(before, "here") == "secret"
        keys.end_rotation(newest)
        assert keys.open(before, "here") == "secret"
    assert len(load_keyring(tmp_path / "encryption-keys").keys) == 2
    with pytest.raises(SealBroken):
        keys.open(first, "here")


def test_another_replica_with_the_same_file_follows(tmp_path: Path) -> None:
    """It opens what the new key sealed, and seals with it."""
    one, other = in_file(tmp_path), in_file(tmp_path)
    one.begin_rotation()
    sealed = one.seal("secret", "here")
    assert other.open(sealed, "here") == "secret"
    assert one.is_current(other.seal("secret", "there"))


def test_a_file_that_breaks_does_not_stop_a_running_process(tmp_path: Path) -> None:
    """What was read from it before still serves."""
    keys = in_file(tmp_path)
    sealed = keys.seal("secret", "here")
    for spoil in (
        lambda: (tmp_path / "encryption-keys").write_text("x"),
        (tmp_path / "encryption-keys").unlink,
    ):
        spoil()
        assert keys.open(sealed, "here") == "secret"
        assert keys.open(keys.seal("more", "there"), "there") == "more"


@pytest.mark.parametrize("empty", [False, True])
def test_a_file_that_is_gone_costs_no_secret(tmp_path: Path, empty: bool) -> None:
    """Whoever has its keys goes on with them and writes them again, for itself and the next process."""
    keys, path = in_file(tmp_path), tmp_path / "encryption-keys"
    sealed = keys.seal("secret", "here")
    path.unlink()
    if empty:
        path.touch()
    later = keys.seal("more", "there")
    assert keys.open(sealed, "here") == "secret"
    if not empty:
        again = in_file(tmp_path)
        assert (again.open(sealed, "here"), again.open(later, "there")) == ("secret", "more")


def test_a_file_that_is_gone_is_not_written_over_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that misses it in the same moment may have made a new key, and sealed with it."""
    one, other = in_file(tmp_path), in_file(tmp_path)
    original, begun, rotated = keys_module.save_keyring, Event(), Event()

    def rotate() -> str:
        begun.wait(10)
        other.begin_rotation()
        sealed = other.seal("secret", "here")
        rotated.set()
        return sealed

    def save(path: Path, ring: Keyring) -> None:
        if not begun.is_set():
            begun.set()
            # Long enough for the other, if it does not have to wait.
            rotated.wait(0.3)
        original(path, ring)

    with ThreadPoolExecutor(1) as thread:
        (tmp_path / "encryption-keys").unlink()
        monkeypatch.setattr(keys_module, "save_keyring", save)
        rotation = thread.submit(rotate)
        one.seal("more", "there")
        sealed = rotation.result()
    assert in_file(tmp_path).open(sealed, "here") == "secret"


def test_a_file_that_is_put_back_without_the_newest_key(tmp_path: Path) -> None:
    """Who wrote it had missed a rotation; whoever has the new key adds it, and it goes on to seal."""
    one, other = in_file(tmp_path), in_file(tmp_path)
    one.begin_rotation()
    sealed = one.seal("secret", "here")
    (tmp_path / "encryption-keys").unlink()
    by_other = other.seal("more", "there")
    one.seal("and more", "elsewhere")
    for keys in (one, other, in_file(tmp_path)):
        assert keys.open(sealed, "here") == "secret"
        assert keys.open(by_other, "there") == "more"
        assert keys.is_current(sealed)


def test_a_process_that_slept_through_rotations_brings_nothing_back(tmp_path: Path) -> None:
    """Keys that were dropped stay dropped."""
    one, other = in_file(tmp_path), in_file(tmp_path)
    for _ in range(3):
        one.end_rotation(one.begin_rotation())
        kept = load_keyring(tmp_path / "encryption-keys").keys
        assert one.is_current(other.seal("secret", "here"))
        assert load_keyring(tmp_path / "encryption-keys").keys == kept
    late = in_file(tmp_path)
    for _ in range(3):
        one.end_rotation(one.begin_rotation())
    assert one.is_current(late.seal("secret", "here"))
    assert len(load_keyring(tmp_path / "encryption-keys").keys) == 2


def test_rotations_at_once_drop_no_key_that_seals_something(tmp_path: Path) -> None:
    """The one that ends first does not know what the other has sealed, nor with which key."""
    one, other = in_file(tmp_path), in_file(tmp_path)
    first = one.begin_rotation()
    by_first = one.seal("secret", "here")
    second = other.begin_rotation()
    by_second = other.seal("secret", "there")
    one.end_rotation(first)
    third = one.begin_rotation()
    other.end_rotation(second)
    for keys in (one, other, in_file(tmp_path)):
        assert keys.open(by_first, "here") == "secret"
        assert keys.open(by_second, "there") == "secret"
    one.end_rotation(third)
    assert len(load_keyring(tmp_path / "encryption-keys").keys) == 2


@pytest.fixture
def slow_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a new key take its time: others that look at the file meanwhile see it as it was."""
    make = Key.generate

    def generate() -> Key:
        time.sleep(0.05)
        return make()

    monkeypatch.setattr(Key, "generate", generate)


@pytest.mark.usefixtures("slow_keys")
def test_rotations_that_begin_at_once_lose_no_key(tmp_path: Path) -> None:
    """Each process puts its key before what the other wrote, whatever it had read before."""
    replicas = [in_file(tmp_path) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(Keys.begin_rotation, replicas))
        sealed = list(threads.map(lambda keys: keys.seal("secret", "here"), replicas))
    assert len(load_keyring(tmp_path / "encryption-keys").keys) == 4
    assert [in_file(tmp_path).open(each, "here") for each in sealed] == ["secret"] * 3


@pytest.mark.usefixtures("slow_keys")
def test_processes_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    """Whoever comes second takes the first one's."""
    with ThreadPoolExecutor(3) as threads:
        replicas = list(threads.map(in_file, [tmp_path] * 3))
    sealed = [keys.seal("secret", "here") for keys in replicas]
    assert [in_file(tmp_path).open(each, "here") for each in sealed] == ["secret"] * 3
    assert len({each.split(".")[1] for each in sealed}) == 1


def test_a_file_that_another_process_holds_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rotation is refused with a sentence, and the keys stay as they are."""
    monkeypatch.setattr(secrets, "_PATIENCE", 0.05)
    keys, path = in_file(tmp_path), tmp_path / "encryption-keys"
    before = load_keyring(path)
    with secrets.alone(path), pytest.raises(ConfigurationError, match="is being written"):
        keys.begin_rotation()
    assert load_keyring(path) == before


def test_a_single_key_of_the_environment_cannot_be_rotated_from_here(tmp_path: Path) -> None:
    """The sentence says what to do; with a new one before it, it can."""
    old = str(Key.generate())
    with pytest.raises(KeysAreSet, match="put a new one before it"):
        Keys(old, tmp_path / "x").begin_rotation()
    sealed = Keys(old, tmp_path / "x").seal("secret", "here")
    both = Keys(f"{Key.generate()},{old}", tmp_path / "x")
    newest = both.begin_rotation()
    assert not both.is_current(sealed)
    both.end_rotation(newest)
    assert both.open(sealed, "here") == "secret"
