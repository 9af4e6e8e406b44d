"""The saved configuration: private, whole, and never in the way."""

from pathlib import Path

import pytest

from dataplane.config.draft import from_message
from dataplane.config.saved import SavedConfiguration
from penstock.v1.config_pb2 import Configuration, OrganizationConfig

CONFIGURATION = from_message(
    Configuration(revision=7, organizations=[OrganizationConfig(uid="org-1", organization_id="acme")])
)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """With when that was; the file is for its owner alone."""
    path = tmp_path / "node" / "configuration.pb"
    saved = SavedConfiguration(path)
    saved.save(CONFIGURATION)
    loaded = saved.load()
    assert loaded is not None
    assert loaded == (CONFIGURATION, path.stat().st_mtime)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xff\xff",
        b"not a message",
        Configuration(revision=0).SerializeToString(),
        Configuration(
            revision=1, organizations=[OrganizationConfig(uid="..", organization_id="x")]
        ).SerializeToString(),
    ],
)
def test_a_damaged_file_is_as_good_as_none(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The node waits for the control plane instead, and the log says why."""
    path = tmp_path / "configuration.pb"
    path.write_bytes(content)
    assert SavedConfiguration(path).load() is None
    assert "of no use" in caplog.text


def test_no_file_is_nothing_to_speak_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every first start is like that."""
    assert SavedConfiguration(tmp_path / "none").load() is None
    assert not caplog.records


def test_a_failed_save_leaves_what_was(tmp_path: Path) -> None:
    """Whole, as it was before."""
    saved = SavedConfiguration(tmp_path / "file" / "configuration.pb")
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        saved.save(CONFIGURATION)
