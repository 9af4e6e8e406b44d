"""The board that a node's processes share: whole content or none, whatever happens to who writes it."""

import os
from collections.abc import Iterator

import pytest

from dataplane.config.board import Board


@pytest.fixture
def board() -> Iterator[Board]:
    """An empty board."""
    board = Board.create()
    yield board
    board.close()


def test_what_was_posted_is_read_by_all(board: Board) -> None:
    """Through descriptors of their own as well; what one has already is not given again."""
    assert board.read() is None
    board.post(7, 12.5, b"seven")
    other = Board(os.dup(board.fileno()))
    assert other.read() == (b"seven", 12.5)
    assert other.read(unless=7) is None
    board.post(8, 13.5, b"eight" * 100_000)
    assert other.read(unless=7) == (b"eight" * 100_000, 13.5)
    board.post(9, 14.5, b"")
    assert other.read(unless=8) == (b"", 14.5)
    other.close()


def test_half_of_it_is_nothing(board: Board) -> None:
    """Who reads while another writes, or after it was killed in between, finds none; never a mixture."""
    board.post(7, 12.5, b"seven")
    os.ftruncate(board.fileno(), 34)
    assert board.read() is None
    board.post(7, 12.5, b"seven")
    os.pwrite(board.fileno(), b"S", 32)
    assert board.read() is None
    os.ftruncate(board.fileno(), 3)
    assert board.read() is None
    board.post(8, 12.5, b"eight")
    assert board.read() == (b"eight", 12.5)
