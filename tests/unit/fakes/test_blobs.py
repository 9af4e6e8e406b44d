"""Generated blobs are the same bytes from wherever they are read."""

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from clients.oci.digest import Digest
from tests.fakes.blobs import CHUNK, BytesBlob, GeneratedBlob, JoinedBlob, content_of, tar_of, tar_of_size

BLOBS = [
    BytesBlob(b""),
    BytesBlob(b"some bytes"),
    GeneratedBlob(1, 0),
    GeneratedBlob(1, CHUNK * 2 + 7),
    JoinedBlob((BytesBlob(b"a" * 10), GeneratedBlob(2, CHUNK + 1), BytesBlob(b""), BytesBlob(b"z" * 512))),
]


@given(st.sampled_from(BLOBS), st.integers(0, CHUNK * 3), st.integers(0, CHUNK * 3))
def test_any_part_is_that_part_of_the_whole(blob: BytesBlob, start: int, stop: int) -> None:
    """Ranges agree with slices, in chunks that are neither empty nor too large."""
    pieces = list(blob.read(start, stop))
    assert b"".join(pieces) == content_of(blob)[start:stop]
    assert all(0 < len(piece) <= CHUNK for piece in pieces)


def test_digest_and_size_are_those_of_the_content() -> None:
    """Although the content is never held in one piece."""
    for blob in BLOBS:
        content = content_of(blob)
        assert (blob.size, blob.digest) == (len(content), Digest.of(content))


def test_generated_blobs_differ_everywhere() -> None:
    """Between seeds, and from block to block: a piece in the wrong place gives another digest."""
    content = content_of(GeneratedBlob(3, CHUNK * 4))
    blocks = {content[at : at + CHUNK] for at in range(0, len(content), CHUNK)}
    assert len(blocks) == 4
    assert GeneratedBlob(3, 100).digest != GeneratedBlob(4, 100).digest


def test_layers_are_tars() -> None:
    """Of the files given, or of a size that may be asked for to the record."""
    with tarfile.open(fileobj=io.BytesIO(content_of(tar_of([("a", BytesBlob(b"x" * 513))])))) as layer:
        file = layer.extractfile("a")
        assert file is not None
        assert file.read() == b"x" * 513
    large = tar_of_size(1, 1024 * 1024)
    assert large.size == 1024 * 1024
    with tarfile.open(fileobj=io.BytesIO(content_of(large))) as layer:
        assert [member.size for member in layer.getmembers()] == [1024 * 1024 - 3 * 512]
