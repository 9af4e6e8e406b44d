"""Small things on disk: bounded, whole or absent, and never in the way."""

import os
import time
from pathlib import Path

import pytest

from dataplane.resolve.disk import Disk
from tests.fakes.descriptors import none_left


def open_disk(root: Path, max_bytes: int = 1 << 20) -> Disk:
    """A disk as a new process finds it."""
    disk = Disk(root, max_bytes)
    disk.prepare()
    return disk


def test_what_was_written_is_read_also_by_the_next_process(tmp_path: Path) -> None:
    """And replaced, removed and listed by folder."""
    disk = open_disk(tmp_path)
    disk.write("a/manifests/1.0", b"one")
    disk.write("a/manifests/1.0", b"another")
    disk.write("a/tags", b"tags")
    disk.write("b/manifests/x", b"")
    disk = open_disk(tmp_path)
    assert disk.read("a/manifests/1.0") == b"another"
    assert disk.read("b/manifests/x") == b""
    assert disk.names("a/manifests") == ["a/manifests/1.0"]
    disk.remove("a/manifests/1.0")
    assert disk.read("a/manifests/1.0") is None
    assert open_disk(tmp_path).read("a/manifests/1.0") is None


@pytest.mark.parametrize("damage", [b"", b"x", b"\x00" * 40])
def test_a_damaged_file_is_as_good_as_none(damage: bytes, tmp_path: Path) -> None:
    """Cut short, overwritten, or with one bit turned; it is gone afterwards."""
    disk = open_disk(tmp_path)
    disk.write("a/x", b"content")
    path = tmp_path / "a" / "x"
    path.write_bytes(damage)
    assert disk.read("a/x") is None
    assert not path.exists()
    disk.write("a/x", b"content")
    sealed = bytearray(path.read_bytes())
    sealed[-1] ^= 1
    path.write_bytes(sealed)
    assert disk.read("a/x") is None


def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    """Half written files never get a name that is looked for."""
    disk = open_disk(tmp_path)
    disk.write("a/x", b"content")
    left, begun = tmp_path / "a" / ".new-0123", tmp_path / "a" / ".new-4567"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    # Another worker of the node is writing this one right now.
    begun.write_bytes(b"half")
    disk = open_disk(tmp_path)
    assert disk.read("a/x") == b"content"
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"x", begun.name}
    assert disk.names("a") == ["a/x"]


def test_workers_share_what_they_keep(tmp_path: Path) -> None:
    """What one process wrote, replaced or removed is so for the others, and all of it counts."""
    one, other = open_disk(tmp_path), open_disk(tmp_path)
    one.write("a/x", b"first")
    assert other.read("a/x") == b"first"
    other.write("a/x", b"second")
    assert one.read("a/x") == b"second"
    assert one.names("a") == ["a/x"]
    one.remove("a/x")
    assert other.read("a/x") is None
    assert other.names("a") == []


def test_what_others_wrote_counts_against_the_limit(tmp_path: Path) -> None:
    """Two processes that write in turn do not fill twice the space."""
    limit = 64 << 10
    disks = Disk(tmp_path, limit), Disk(tmp_path, limit)
    for number in range(200):
        disks[number % 2].write(f"a/{number}", bytes(1024))
    kept = sum(path.stat().st_size + 512 for path in (tmp_path / "a").iterdir())
    assert limit // 2 < kept <= limit + 2 * limit // 16 + 2048
    assert disks[0].read("a/199") is not None


def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    """Reading counts as use, and the bound holds for what was there at the start too."""
    disk = open_disk(tmp_path, 5000)
    for number in range(4):
        disk.write(f"a/{number}", b"x" * 600)
    assert disk.read("a/0") is not None
    disk.write("a/new", b"x" * 600)
    assert disk.read("a/1") is None
    assert disk.read("a/0") is not None
    kept = list((tmp_path / "a").iterdir())
    assert sum(path.stat().st_size for path in kept) < 5000
    open_disk(tmp_path, 1500)
    assert len(list((tmp_path / "a").iterdir())) == 1


def test_a_disk_that_does_not_take_it_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is not kept, and logged."""
    disk = open_disk(tmp_path)
    (tmp_path / "a").write_bytes(b"in the way")
    disk.write("a/x", b"content")
    assert disk.read("a/x") is None
    assert "cannot be written" in caplog.text


def test_what_cannot_be_read_now_is_there_later(tmp_path: Path) -> None:
    """A process that may open no more files knows nothing of what is kept, and takes it for no damage."""
    disk = open_disk(tmp_path)
    disk.write("a/x", b"content")
    with none_left():
        assert disk.read("a/x") is None
        assert disk.names("a") == []
    assert disk.read("a/x") == b"content"
    assert disk.names("a") == ["a/x"]


def test_a_file_that_vanished_is_as_good_as_none(tmp_path: Path) -> None:
    """Somebody may clean up behind the node's back."""
    disk = open_disk(tmp_path)
    disk.write("a/x", b"content")
    (tmp_path / "a" / "x").unlink()
    assert disk.read("a/x") is None


def test_after_a_clock_that_was_set_back_the_new_stays(tmp_path: Path) -> None:
    """What was kept before it counts as old, and makes room for what is resolved from then on."""
    limit, content = 64 << 10, bytes(1 << 10)
    disk = open_disk(tmp_path, limit)
    for number in range(60):
        disk.write(f"a/{number}", content)
    tomorrow = time.time() + 86_400
    for path in (tmp_path / "a").iterdir():
        os.utime(path, (tomorrow, tomorrow))
    spool = tmp_path / "a" / ".new-0123"
    spool.write_bytes(b"half")
    os.utime(spool, (tomorrow, tomorrow))
    for number in range(20):
        disk.write(f"b/{number}", content)
    disk = open_disk(tmp_path, limit)
    assert {f"b/{number}" for number in range(20)} <= set(disk.names("b"))
    assert not spool.exists()
