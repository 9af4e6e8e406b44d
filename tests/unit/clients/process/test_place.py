"""The data directory and the private files in it."""

import os
from pathlib import Path

import pytest

from clients.process.exits import ConfigurationError
from clients.process.place import Unwritable, data_dir, prepare, read_secret, write_private


def test_where_it_is():
    """As the environment says; `./data` without it, and where it is empty."""
    assert data_dir({"PENSTOCK_DATA_DIR": "/var/lib/penstock"}) == Path("/var/lib/penstock")
    assert data_dir({}) == data_dir({"PENSTOCK_DATA_DIR": ""}) == Path("data")


def test_it_is_created(tmp_path, monkeypatch):
    """With its parents, for its owner alone; what is in it stays."""
    monkeypatch.chdir(tmp_path)
    directory = prepare(Path("a/b"))
    assert directory == tmp_path / "a" / "b"
    assert directory.stat().st_mode & 0o777 == 0o700
    (directory / "kept").touch()
    prepare(directory)
    assert [path.name for path in directory.iterdir()] == ["kept"]


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/penstock", "/dev/null"])
def test_it_cannot_be_written(tmp_path, monkeypatch, place):
    """One sentence with the directory and the setting, for root as well."""
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(ConfigurationError, match="PENSTOCK_DATA_DIR") as error:
        prepare(Path(place))
    assert place in str(error.value)


def test_a_disk_that_takes_nothing_now(tmp_path, monkeypatch):
    """Is told from a directory that is wrong: it may be better tomorrow."""

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(Unwritable, match=r"no space left on device.*PENSTOCK_DATA_DIR"):
        prepare(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError) as error:
        prepare(tmp_path / "file")
    assert not isinstance(error.value, Unwritable)


def test_private_files(tmp_path):
    """Readable by their owner alone, whatever the umask; replaced as a whole; nothing else is left behind."""
    path = tmp_path / "secret"
    before = os.umask(0)
    try:
        write_private(path, b"one")
        write_private(path, b"two")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_changes_nothing(tmp_path, monkeypatch):
    """The old content stays, and no temporary file."""
    path = tmp_path / "secret"
    write_private(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_reading_a_secret(tmp_path):
    """Without the end of its line."""
    path = tmp_path / "token"
    path.write_text("pst_x\n")
    assert read_secret(path) == "pst_x"


def test_no_secret_to_read(tmp_path):
    """Its absence is for the caller to judge."""
    with pytest.raises(FileNotFoundError):
        read_secret(tmp_path / "token")


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"two\nlines", b"\xff\xfe", b"x" * 5000])
def test_what_is_no_secret(tmp_path, content):
    """Says which file, and not what is in it."""
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="token") as error:
        read_secret(path)
    assert "words" not in str(error.value)


def test_a_secret_that_cannot_be_read(tmp_path):
    """A directory in its place."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_secret(tmp_path)
