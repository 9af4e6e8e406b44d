"""What a test leaves open is found."""

import socket
import threading
from pathlib import Path

import pytest

from tests.servers import leaks


def test_files_and_connections_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipes and sockets of event loops do not, nor does what was open before."""
    monkeypatch.setattr(leaks, "_PATIENCE", 0.1)
    before = leaks.open_now()
    pair = socket.socketpair()
    with (tmp_path / "file").open("w") as file, socket.create_server(("127.0.0.1", 0)) as listener:
        assert {descriptor for descriptor, _ in leaks.left_open(before)} == {file.fileno(), listener.fileno()}
    assert not leaks.left_open(before)
    for end in pair:
        end.close()


def test_what_is_closed_in_the_background_is_waited_for() -> None:
    """By a thread of a library, for instance."""
    before = leaks.open_now()
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Timer(0.1, listener.close)
    closing.start()
    assert not leaks.left_open(before)
    closing.join()


def test_what_nothing_refers_to_any_more_is_collected(tmp_path: Path) -> None:
    """A file in a circle of references is not left by whoever dropped it."""
    before = leaks.open_now()
    circle: list[object] = []
    circle.append((circle, (tmp_path / "file").open("wb", buffering=0)))
    del circle
    with pytest.warns(ResourceWarning):
        left = leaks.left_open(before)
    assert not left
