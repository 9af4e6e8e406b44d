"""Authorization headers: what clients send, and what nobody may pull with."""

import base64
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.control.token import TokenKind, new_token, sha256
from dataplane.access.authenticate import admit, identify
from dataplane.access.principal import Principal

TOKEN = new_token(TokenKind.USER)
SOMEBODY = Principal("token-1", "user-1", "org-1", 1, None)
PRINCIPALS = {sha256(TOKEN): SOMEBODY}


def authenticate(header: str, principals: Mapping[bytes, Principal], now: float) -> Principal | None:
    """Whom a header is from, as every request asks."""
    return admit(identify(header), principals, now)


def basic(user: str, password: str) -> str:
    """The header that a client with a user name and password sends."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        basic("-", TOKEN),
        basic("", TOKEN),
        basic("someone@example.com", TOKEN),
        basic("jürgen", TOKEN),
        "basic" + basic("x", TOKEN)[5:],
        f"Bearer {TOKEN}",
        f"bearer {TOKEN}",
        f"BEARER   {TOKEN} ",
        f"AccessToken {TOKEN}",
    ],
)
def test_a_token_is_the_password_or_the_bearer(header: str) -> None:
    """Whatever the user name is, and however the scheme is written."""
    assert authenticate(header, PRINCIPALS, 0) == SOMEBODY


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic \u00e9\u00e9\u00e9\u00e9",
        "Basic \x00\x00\x00\x00",
        "Basic " + base64.b64encode(TOKEN.encode()).decode(),
        "Basic " + "A" * 100_000,
        basic(TOKEN, ""),
        basic("x", TOKEN + "\n"),
        basic("x", TOKEN[:-1]),
        basic("x", new_token(TokenKind.USER)),
        basic("x", "password"),
        "Bearer",
        f"Bearer {new_token(TokenKind.USER)}",
        f"Bearer {new_token(TokenKind.NODE)}",
        f"Token {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN},Bearer {TOKEN}",
        "Bearer \u00e9\u00e9",
        "Digest username=x",
    ],
)
def test_everything_else_is_nobody(header: str) -> None:
    """Malformed, foreign, cut off, or of another scheme."""
    assert authenticate(header, PRINCIPALS, 0) is None


@given(st.text(max_size=80), st.sampled_from(["", "Basic ", "Bearer ", "AccessToken "]))
def test_whatever_is_sent_it_is_nobody_and_no_failure(text: str, scheme: str) -> None:
    """Without the token, no header is anybody's."""
    assert authenticate(scheme + text, PRINCIPALS, 0) is None


def test_a_password_may_hold_a_colon_and_is_then_no_token() -> None:
    """Only the first colon separates."""
    assert authenticate(basic("a", f"b:{TOKEN}"), PRINCIPALS, 0) is None


@pytest.mark.parametrize(("now", "expected"), [(99.9, True), (100.0, False), (1e12, False)])
def test_a_token_ends_by_this_nodes_clock(now: float, expected: bool) -> None:
    """At its moment of expiry it is refused."""
    ending = Principal("token-1", "user-1", "org-1", 1, expires_at=100.0)
    found = authenticate(basic("-", TOKEN), {sha256(TOKEN): ending}, now)
    assert (found is ending) is expected
