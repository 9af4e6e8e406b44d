"""What is kept of a blob: read back as it was, joined with what others knew, and never half."""

import pytest

from dataplane.resolve.blob import ResolvedBlob
from dataplane.resolve.witnesses import Witness

BLOB = ResolvedBlob(10, 7, (Witness("1.0", 7), Witness("0.9", 5)))


def test_it_is_read_as_it_was_written() -> None:
    """Size, content revision and witnesses."""
    assert ResolvedBlob.decode(BLOB.encode()) == BLOB


@pytest.mark.parametrize(
    "encoded", [b"", b"{}", b"[1, 2]", b"[1, 2, 3]", b'[1, 2, [["1.0"]]]', b'["x", 2, []]', b"\xff", b"null"]
)
def test_what_is_something_else_is_as_good_as_nothing(encoded: bytes) -> None:
    """An older or newer version may have written it."""
    assert ResolvedBlob.decode(encoded) is None


def test_what_two_processes_knew_is_joined() -> None:
    """The newer size, and each tag with the last revision that it was seen at."""
    newer = ResolvedBlob(11, 8, (Witness("0.9", 8),))
    joined = ResolvedBlob(11, 8, (Witness("0.9", 8), Witness("1.0", 7)))
    assert BLOB.joined(newer) == newer.joined(BLOB) == joined
    assert BLOB.joined(None) is BLOB
