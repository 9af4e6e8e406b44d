"""Access tokens."""

import hashlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.control.token import TokenKind, is_well_formed, new_token, sha256


@pytest.mark.parametrize(("kind", "prefix"), [(TokenKind.USER, "pst_"), (TokenKind.NODE, "psn_")])
def test_a_new_token(kind, prefix):
    """Prefix, 30 random characters and 6 of checksum, well formed, and never the same."""
    token = new_token(kind)
    assert token.startswith(prefix)
    assert len(token) == 40
    assert is_well_formed(token)
    assert len({new_token(kind) for _ in range(100)}) == 100


def test_a_token_cannot_be_guessed():
    """160 bits or more of it are random."""
    assert 30 * math.log2(62) >= 160


@given(st.integers(0, 39), st.characters(codec="ascii"))
def test_one_wrong_character_is_noticed(position, character):
    """Mistyped anywhere, a token is no longer well formed."""
    token = new_token(TokenKind.USER)
    other = token[:position] + character + token[position + 1 :]
    # The one other prefix makes another token, whose checksum is another.
    assert is_well_formed(other) == (other == token)


@given(st.text())
def test_anything_else_is_no_token(text):
    """Whatever somebody sends."""
    assert not is_well_formed(text)


@pytest.mark.parametrize("change", [str.upper, lambda it: it + "\n", lambda it: it[:-1], lambda it: f" {it}"])
def test_nearly_a_token(change):
    """White space, case and length count."""
    assert not is_well_formed(change(new_token(TokenKind.USER)))


@pytest.mark.parametrize("token", ["pst_" + "0" * 30 + "1uhv1w", "psn_" + "Az9" * 10 + "1Mv9U9"])
def test_the_checksum_never_changes(token):
    """Tokens that are out there stay good: zero padded base62 of the CRC32 of what stands before."""
    assert is_well_formed(token)


def test_hash():
    """SHA-256 of the whole token, prefix and checksum included."""
    token = new_token(TokenKind.NODE)
    assert sha256(token) == hashlib.sha256(token.encode()).digest()
