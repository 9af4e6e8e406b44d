"""Digests are read strictly, and prove content."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci.digest import Digest, InvalidReference, ReferencePart

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_a_digest_is_read_and_written_alike(text: str) -> None:
    """Both registered algorithms are read, and written as they came."""
    assert str(Digest.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        ":" + "a" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha512:" + "a" * 64,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "SHA256:" + "a" * 64,
        "md5:" + "a" * 32,
        "sha256+b64:" + "a" * 64,
        " " + SHA256,
        SHA256 + "\n",
        "sha256:" + "\u0661" * 64,
        "sha256:../../" + "a" * 58,
        "a" * 100_000 + ":b",
    ],
)
def test_another_form_is_refused(text: str) -> None:
    """What is not exactly a digest is refused, with the part that is wrong and a bounded sentence."""
    with pytest.raises(InvalidReference) as caught:
        Digest.parse(text)
    assert caught.value.reason is ReferencePart.DIGEST
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=100), st.sampled_from(["sha256", "sha512"]))
def test_a_digest_names_its_content_only(content: bytes, algorithm: str) -> None:
    """What is computed can be read back, matches its content, and nothing else."""
    digest = Digest.of(content, algorithm)
    assert Digest.parse(str(digest)) == digest
    assert digest.matches(content)
    assert not digest.matches(content + b"x")
    hasher = digest.hasher()
    hasher.update(content)
    assert hasher.hexdigest() == digest.encoded == hashlib.new(algorithm, content).hexdigest()


@given(st.text())
def test_any_text_is_a_digest_or_refused(text: str) -> None:
    """Nothing but InvalidReference comes of text from outside, and what is taken keeps its form."""
    try:
        digest = Digest.parse(text)
    except InvalidReference:
        return
    assert str(digest) == text
