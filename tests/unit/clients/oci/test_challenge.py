"""WWW-Authenticate is read as RFC 9110 writes it, and refused where it is ambiguous."""

import contextlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci.challenge import Challenge, InvalidChallenge, parse_challenges

DOCKER_HUB = (
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"'
)
NAMES = st.text(string.ascii_letters + string.digits + "-_!", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


def read(*headers: str) -> list[tuple[str, dict[str, str], str]]:
    """Parses headers into plain tuples."""
    return [(one.scheme, dict(one.parameters), one.token68) for one in parse_challenges(headers)]


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        (" , ,\t", []),
        ("Basic", [("basic", {}, "")]),
        ("NTLM ,,", [("ntlm", {}, "")]),
        ('Basic realm="a, b"', [("basic", {"realm": "a, b"}, "")]),
        (r'Basic realm="a \"b\" \\ \c"', [("basic", {"realm": r'a "b" \ c'}, "")]),
        ('Bearer realm = "q" , error=\t"e"', [("bearer", {"realm": "q", "error": "e"}, "")]),
        ("BEARER REALM=token", [("bearer", {"realm": "token"}, "")]),
        ('Bearer realm=""', [("bearer", {"realm": ""}, "")]),
        ("Bearer realm=,", [("bearer", {}, "realm=")]),
        ("Negotiate abc+/==", [("negotiate", {}, "abc+/==")]),
        (
            'Negotiate, Basic realm="r", Bearer realm="x",a="y"',
            [("negotiate", {}, ""), ("basic", {"realm": "r"}, ""), ("bearer", {"realm": "x", "a": "y"}, "")],
        ),
        ("Negotiate a==, Basic realm=x", [("negotiate", {}, "a=="), ("basic", {"realm": "x"}, "")]),
        ('Basic realm="Bearer realm=\\"evil\\""', [("basic", {"realm": 'Bearer realm="evil"'}, "")]),
        ('Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"', [
            ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}, ""),
            ("basic", {"realm": "simple"}, ""),
        ]),
    ],
)  # fmt: skip
def test_challenges_are_read(header: str, challenges: list[tuple[str, dict[str, str], str]]) -> None:
    """Quotes, escapes, blanks, several challenges in a header, and schemes without parameters."""
    assert read(header) == challenges


def test_what_docker_hub_sends() -> None:
    """The most usual challenge of all."""
    (challenge,) = parse_challenges([DOCKER_HUB])
    assert challenge == Challenge(
        "bearer",
        {
            "realm": "https://auth.docker.io/token",
            "service": "registry.docker.io",
            "scope": "repository:a/b:pull",
        },
    )


def test_several_headers_are_taken_in_order() -> None:
    """A challenge does not reach over the end of its header."""
    assert [scheme for scheme, _, _ in read("Basic realm=x", "Bearer realm=y")] == ["basic", "bearer"]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ('Bearer realm="https://auth.example/token', "quotes that are not closed"),
        ('Bearer realm="x\\"', "quotes that are not closed"),
        ('Bearer realm="x" service="y"', "unexpected character at position 18"),
        ("realm=x", "parameter without a scheme"),
        ('"x"', "unexpected character at position 1"),
        ("Bearer realm=x,realm=y", "twice"),
        ('Bearer realm="x",Realm="x"', "twice"),
        ("Bearer realm=x, service=@", "no value"),
        ("Bearer realm=x,=y", "unexpected character"),
        ("Bearer/realm=x", "unexpected character"),
        ("Negotiate a==, realm=x", "parameter without a scheme"),
        ("Bearer é", "no value|unexpected character"),
        ("a" * 20_000, "longer"),
    ],
)
def test_malformed_headers_are_refused(header: str, problem: str) -> None:
    """Each with where and what is wrong; a challenge is never guessed at."""
    with pytest.raises(InvalidChallenge, match=problem):
        parse_challenges([header])


@given(
    st.lists(
        st.tuples(NAMES, st.dictionaries(NAMES.map(str.lower), VALUES, min_size=1, max_size=3)), max_size=3
    )
)
def test_what_is_written_is_read(challenges: list[tuple[str, dict[str, str]]]) -> None:
    """Any schemes and parameters survive quoting."""

    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = ", ".join(
        f"{scheme} " + ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in challenges
    )
    assert read(header) == [(scheme.lower(), parameters, "") for scheme, parameters in challenges]


@given(st.one_of(st.text(max_size=60), st.text('Ba=," \\\t', max_size=60)))
def test_any_header_is_read_or_refused(header: str) -> None:
    """Nothing but InvalidChallenge comes of text from outside."""
    try:
        challenges = parse_challenges([header])
    except InvalidChallenge:
        return
    assert all(one.scheme for one in challenges)


@pytest.mark.parametrize("filler", ['"', '\\"', "a=", "a ", ",", " ", '="', 'a="\\'])
def test_a_hostile_header_takes_no_time(filler: str) -> None:
    """Repetition costs in proportion to its length; one that backtracks would meet the test's time-out."""
    header = "Bearer " + filler * (16_000 // len(filler))
    with contextlib.suppress(InvalidChallenge):
        parse_challenges([header])
