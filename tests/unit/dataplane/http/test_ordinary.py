"""What is remembered of requests: the same as parsing gives, within bounds."""

import pytest

from dataplane.http.ordinary import Remembered, asked


def test_what_was_parsed_once_is_looked_up() -> None:
    """And what could not be parsed is tried again, and takes no room."""
    parsed: list[bytes] = []

    def parse(text: bytes) -> int | None:
        parsed.append(text)
        return int(text) if text.isdigit() else None

    remembered = Remembered(parse)
    assert [remembered[text] for text in (b"1", b"x", b"1", b"x")] == [1, None, 1, None]
    assert parsed == [b"1", b"x", b"x"]
    assert list(remembered) == [b"1"]


@pytest.mark.parametrize("room", [600, 5000, 100_000])
def test_it_stays_within_its_room(room: int) -> None:
    """However many different requests come, and each is answered rightly."""
    remembered = Remembered(asked, room)
    for number in range(500):
        line = b"GET /v2/acme/app/manifests/%d HTTP/1.1" % number
        assert remembered[line] == asked(line) is not None
        assert sum(map(len, remembered)) <= room


def test_what_is_longer_than_is_ordinary_is_not_looked_at() -> None:
    """It is for the parser, which has its own limits."""
    remembered = Remembered(lambda text: len(text))
    assert (remembered[b"x" * 4096], remembered[b"x" * 4097]) == (4096, None)
