"""Buffers: nobody's bytes are written over, and what is not used is used again or given back."""

from clients.process.buffers import Buffers


def test_a_buffer_is_given_again_when_its_last_piece_is_gone() -> None:
    """However it was cut; until then everybody gets another."""
    buffers = Buffers(1000, spare=2)
    first = buffers.take()
    assert len(first) == 1000
    first[:] = b"a" * 1000
    piece = first[10:20][5:]
    del first
    second = buffers.take()
    second[:] = b"b" * 1000
    assert bytes(piece) == b"aaaaa"
    del piece
    third = buffers.take()
    assert third[0] == ord("a")
    assert len(buffers) == 2


def test_what_was_needed_for_a_while_is_given_back() -> None:
    """All but a few, and never what somebody has."""
    buffers = Buffers(10, spare=2)
    taken = [buffers.take() for _ in range(20)]
    buffers.trim()
    assert len(buffers) == 20
    held = taken[7]
    held[:] = b"0123456789"
    del taken
    buffers.trim()
    assert len(buffers) == 3
    others = [buffers.take() for _ in range(3)]
    for other in others:
        other[:] = b"xxxxxxxxxx"
    assert bytes(held) == b"0123456789"
    assert len(buffers) == 4
