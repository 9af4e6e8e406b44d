"""What is removed of fetches that nobody goes on with, and what is not."""

import time
from pathlib import Path

import pytest

from dataplane.blobs.abandoned import remove_abandoned
from dataplane.blobs.claim import Claim


def test_a_fill_that_ends_while_spools_are_looked_at_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are listed, and gone when they are looked at."""
    (tmp_path / "gone.spool").touch()
    glob = Path.glob

    def then_ended(folder: Path, pattern: str) -> list[Path]:
        found = list(glob(folder, pattern))
        for path in found:
            path.unlink()
        return found

    monkeypatch.setattr(Path, "glob", then_ended)
    monkeypatch.setattr(Path, "exists", lambda _: True)

    remove_abandoned(tmp_path, time.time(), 0)

    assert list(tmp_path.iterdir()) == []


def test_a_fetch_that_begins_while_spools_are_looked_at_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim that was opened ends without a fetch, and the next has the name by the time it is free."""
    spool, name = tmp_path / "blob.spool", tmp_path / "blob.claim"
    before, begun, take = Claim(name), [], Claim.take
    assert before.take()

    def then_another(claim: Claim) -> bool:
        monkeypatch.setattr(Claim, "take", take)
        before.end()
        begun.append(Claim(name))
        assert begun[0].take()
        spool.write_bytes(b"the first bytes")
        begun[0].announce(spool.stat().st_ino)
        return take(claim)

    monkeypatch.setattr(Claim, "take", then_another)
    remove_abandoned(tmp_path, time.time(), 600)

    assert begun[0].is_current()
    assert spool.exists()
    begun[0].close()
