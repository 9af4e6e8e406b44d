"""The name that a control plane has again after a restart."""

from pathlib import Path

import pytest

from controlplane.sync.instance import instance


def test_a_restart_has_the_same_name(tmp_path: Path) -> None:
    """And the file is for its owner alone."""
    with instance(tmp_path) as first:
        assert first
    with instance(tmp_path) as second:
        assert second == first
    assert (tmp_path / "instance").stat().st_mode & 0o777 == 0o600


def test_two_at_once_have_different_names(tmp_path: Path) -> None:
    """The second one's is not kept."""
    with instance(tmp_path) as first, instance(tmp_path) as second:
        assert first != second
    with instance(tmp_path) as third:
        assert third == first


@pytest.mark.parametrize("content", [b"", b"\x00\xff\n", b"  \n"])
def test_a_damaged_file_is_written_anew(tmp_path: Path, content: bytes) -> None:
    """A power failure may have left it empty."""
    (tmp_path / "instance").write_bytes(content)
    with instance(tmp_path) as first:
        assert first.isprintable()
    with instance(tmp_path) as second:
        assert second == first
