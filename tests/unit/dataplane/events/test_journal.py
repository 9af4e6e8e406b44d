"""Events on disk: they survive the process, are bounded, and a disk that fails loses as little as can be."""

import errno
import itertools
import os
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from dataplane.events.command import Command
from dataplane.events.event import Event
from dataplane.events.journal import Journal
from dataplane.events.records import Client

CLIENT = Client("token", "user", "", "organization", "artifact", "10.0.0.1")
COMMAND = Command(f"{0:032x}", CLIENT, "docker/20", 1000.0, 1001.0, "sha256:ab", "1.0", 1000.0)
EVENT = COMMAND.event()


def events(start: int, count: int) -> list[Event]:
    """So many, told apart by their ids."""
    return [replace(EVENT, id=f"{number:032x}") for number in range(start, start + count)]


def sent(journal: Journal, commands: tuple[Command, ...] = ()) -> list[str]:
    """Ids of all that can be sent, which is then forgotten."""
    found = []
    while (sealed := journal.seal(commands)) is not None:
        found += [event.id for event in sealed.events]
        journal.drop(sealed)
    return found


def ids(listed: list[Event]) -> list[str]:
    """What they are told apart by."""
    return [event.id for event in listed]


def test_what_was_sent_is_deleted(tmp_path: Path) -> None:
    """In the order in which it was written; nothing is left on disk."""
    journal = Journal(tmp_path, 1 << 20)
    assert journal.load() == []
    journal.write((), events(1, 3))
    journal.write((), events(4, 2))
    assert journal.events == 5
    assert sent(journal) == ids(events(1, 5))
    assert (journal.events, journal.size, list(tmp_path.iterdir())) == (0, 0, [])
    journal.write((), events(6, 1))
    assert sent(journal) == ids(events(6, 1))
    journal.close()


def test_after_a_kill(tmp_path: Path) -> None:
    """Another process finds all that was written, and what was open, as it was last."""
    first = Journal(tmp_path, 1 << 20)
    first.load()
    first.write([COMMAND, replace(COMMAND, id="a" * 32)], events(1, 2))
    first.write([replace(COMMAND, bytes=7)], [replace(EVENT, id="a" * 32)])
    second = Journal(tmp_path, 1 << 20)
    assert second.load() == [replace(COMMAND, bytes=7)]
    second.write((), events(3, 1))
    assert sent(second, (COMMAND,)) == [*ids(events(1, 2)), "a" * 32, *ids(events(3, 1))]
    first.close()
    second.close()


def test_what_is_open_outlives_the_files_that_told_of_it(tmp_path: Path) -> None:
    """Its state is written again before they are deleted."""
    journal = Journal(tmp_path, 1 << 20)
    journal.load()
    journal.write([COMMAND], ())
    for start in range(1, 5):
        journal.write((), events(start, 1))
        assert sent(journal, (COMMAND,)) == ids(events(start, 1))
    journal.close()
    another = Journal(tmp_path, 1 << 20)
    assert another.load() == [COMMAND]
    another.close()


def test_the_oldest_go_first(tmp_path: Path) -> None:
    """It takes no more room than it may, and counts what that costs."""
    journal = Journal(tmp_path, 256 << 10)
    journal.load()
    for start in range(0, 2000, 10):
        journal.write((), events(start, 10))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= (256 << 10) + (16 << 10)
    left = sent(journal)
    assert journal.lost > 0
    assert left == ids(events(journal.lost, 2000 - journal.lost))
    journal.close()


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_damage(tmp_path: Path, damage: str) -> None:
    """A line that cannot be read is lost, and counted; the others are not."""
    journal = Journal(tmp_path, 1 << 20)
    journal.load()
    journal.write((), events(1, 3))
    journal.close()
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-20] if damage == "cut" else content + secrets.token_bytes(30) + b"\n[]\n")
    another = Journal(tmp_path, 1 << 20)
    another.load()
    assert sent(another) == ids(events(1, 2 if damage == "cut" else 3))
    assert another.lost >= 1
    another.close()


def test_what_is_lost_is_counted_once(tmp_path: Path) -> None:
    """However often the rest of its file is sent in vain; also what no event of this version is."""
    journal = Journal(tmp_path, 1 << 20)
    journal.load()
    journal.write((), events(1, 2))
    journal.close()
    (path,) = tmp_path.iterdir()
    with path.open("a") as file:
        file.write('{"id": "of another version"}\n')
        file.write(replace(EVENT, warm_blobs=1 << 40).encode() + "\n")
        file.write('{"id": "half a li')
    another = Journal(tmp_path, 1 << 20)
    another.load()
    for _ in range(3):
        sealed = another.seal(())
        assert sealed is not None
        assert ids(list(sealed.events)) == ids(events(1, 2))
        assert another.events == 2
    assert another.lost == 3
    another.close()


def test_states_that_nobody_can_read_keep_no_node_from_starting(tmp_path: Path) -> None:
    """Of another version, or spoiled: the commands are forgotten, the others go on."""
    journal = Journal(tmp_path, 1 << 20)
    journal.load()
    journal.write([COMMAND], ())
    journal.close()
    (path,) = tmp_path.iterdir()
    with path.open("a") as file:
        for state in ("{}", "5", '{"client": 7}', '{"client": ["too", "few"]}'):
            file.write(f'{{"id": "{secrets.token_hex(4)}", "open": {state}}}\n')
    another = Journal(tmp_path, 1 << 20)
    assert another.load() == [COMMAND]
    another.close()


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_is_full_or_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: int
) -> None:
    """What it does not take waits in memory, and half a line spoils nothing; afterwards all is as before."""
    journal = Journal(tmp_path, 1 << 20)
    journal.load()
    journal.write((), events(1, 1))
    write = os.write
    left = itertools.chain([100], itertools.repeat(0))

    def fill(descriptor: int, data: bytes) -> int:
        if not (room := next(left)):
            raise OSError(trouble, os.strerror(trouble))
        return write(descriptor, data[:room])

    def keep(*_: int) -> None:
        raise OSError(trouble, os.strerror(trouble))

    with monkeypatch.context() as full:
        full.setattr(os, "write", fill)
        if trouble == errno.EROFS:
            full.setattr(os, "ftruncate", keep)
        journal.write((), events(2, 2))
        journal.write((), events(4, 1))
    journal.write((), events(5, 1))
    assert journal.lost == 0
    assert sorted(sent(journal)) == ids(events(1, 5))
    journal.close()


def test_what_comes_while_others_are_sent_is_not_dropped_with_them(tmp_path: Path) -> None:
    """From memory, where there is room for no more: what was given to be sent makes it, and is not lost."""
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "events", 1 << 20)
    journal.load()
    journal.write((), events(0, 10_000))
    sealed = journal.seal(())
    assert sealed is not None
    journal.write((), events(10_000, 1000))
    journal.drop(sealed)
    assert sent(journal) == ids(events(10_000, 1000))
    assert journal.lost == 0
    journal.close()


def test_what_was_sent_in_vain_is_lost_where_it_had_to_go(tmp_path: Path) -> None:
    """From memory as well; counted once, when it is known."""
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "events", 1 << 20)
    journal.load()
    journal.write((), events(0, 10_000))
    assert journal.seal(()) is not None
    journal.write((), events(10_000, 1000))
    assert sent(journal) == ids(events(1000, 10_000))
    assert journal.lost == 1000
    journal.close()


@pytest.mark.parametrize("stored", [False, True])
def test_a_file_that_had_to_go_while_it_was_sent(tmp_path: Path, *, stored: bool) -> None:
    """Its events are lost only if the control plane has not taken them."""
    journal = Journal(tmp_path, 256 << 10)
    journal.load()
    journal.write((), events(0, 10))
    sealed = journal.seal(())
    assert sealed is not None
    for start in range(10, 2000, 10):
        journal.write((), events(start, 10))
    if stored:
        journal.drop(sealed)
    left = sent(journal)
    assert left == ids(events(2000 - len(left), len(left)))
    assert journal.lost == 2000 - len(left) - (len(sealed.events) if stored else 0)
    journal.close()


def test_without_a_descriptor_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read for want of one waits until there is one; nor does a node then fail to start."""
    journal = Journal(tmp_path, 1 << 20)
    journal.load()
    journal.write((), events(0, 3))

    def none_left(*_: object, **__: object) -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    another = Journal(tmp_path, 1 << 20)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", none_left)
        assert journal.seal(()) is None
        assert another.load() == []
    journal.close()
    assert sent(another) == ids(events(0, 3))
    assert (journal.lost, another.lost) == (0, 0)
    another.close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """All goes through memory, where only the newest have room."""
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "events", 1 << 20)
    assert journal.load() == []
    for start in range(0, 12_000, 1000):
        journal.write([COMMAND], events(start, 1000))
    assert journal.lost == 2000
    assert sent(journal) == ids(events(2000, 10_000))
    journal.close()
