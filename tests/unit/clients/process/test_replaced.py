"""Values made of files, made again when the files are replaced."""

import logging
from pathlib import Path

import pytest

from clients.process.exits import ConfigurationError
from clients.process.replaced import Replaced


class Number:
    """A number in a file, and a clock that is set by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self.reads = 0
        path.write_text("1")
        self.replaced = Replaced([path], self.read, lambda: self.now)

    def read(self) -> int:
        self.reads += 1
        try:
            return int(self.path.read_text())
        except (OSError, ValueError) as error:
            raise ConfigurationError("no number") from error

    def replace(self, text: str) -> None:
        """As certificate managers do: another file takes the name."""
        draft = self.path.with_suffix(".new")
        draft.write_text(text)
        draft.replace(self.path)


@pytest.fixture
def number(tmp_path: Path) -> Number:
    """One."""
    return Number(tmp_path / "number")


def test_what_replaces_it_is_current(number: Number) -> None:
    """Within a second, and the file is read once for each time that it changed."""
    number.replace("2")
    assert number.replaced.current() == 1
    number.now = 1.0
    assert [number.replaced.current() for _ in range(3)] == [2, 2, 2]
    number.now = 5.0
    assert number.replaced.current() == 2
    assert number.reads == 2


def test_a_link_that_is_moved(tmp_path: Path) -> None:
    """Kubernetes swaps a link to the directory of a secret."""
    for name, text in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text(text)
    (tmp_path / "data").symlink_to("a")
    now = [0.0]
    path = tmp_path / "data" / "number"
    found = Replaced([path], lambda: int(path.read_text()), lambda: now[0])
    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").replace(tmp_path / "data")
    now[0] = 1.0
    assert found.current() == 2


@pytest.mark.parametrize("text", ["nonsense", None])
def test_what_is_no_good_replaces_nothing(
    number: Number, caplog: pytest.LogCaptureFixture, text: str | None
) -> None:
    """It is logged once, and taken up when it is mended."""
    if text is None:
        number.path.unlink()
    else:
        number.replace(text)
    with caplog.at_level(logging.ERROR):
        for number.now in (1.0, 2.0, 3.0):
            assert number.replaced.current() == 1
    assert [record.getMessage() for record in caplog.records] == [
        "What was read before stays in use, as what replaced it is no good: no number"
    ]
    number.replace("3")
    number.now = 4.0
    assert number.replaced.current() == 3


def test_nothing_to_begin_with(number: Number) -> None:
    """Who starts with nothing cannot go on with what there was."""
    number.path.unlink()
    with pytest.raises(ConfigurationError):
        Replaced([number.path], number.read)
