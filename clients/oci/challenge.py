"""Challenges of the WWW-Authenticate header (RFC 9110, sections 11.2 to 11.4 and 11.6.1)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TOKEN68 = re.compile(r"([A-Za-z0-9._~+/-]+=*)[ \t]*(?:,|$)")
_BLANKS = re.compile(r"[ \t]*")
_SEPARATORS = re.compile(r"[ \t,]*")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
# A whole quoted string: text without quotes and backslashes, or a backslash and the character it is for.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LONGEST = 16 * 1024


class InvalidChallenge(ValueError):
    """A WWW-Authenticate header that breaks its grammar; `str()` completes "its challenge ..."."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate; scheme and parameter names are in lower case.

    `token68` is what a scheme has in place of parameters, as Negotiate does.
    """

    scheme: str
    parameters: Mapping[str, str]
    token68: str = ""


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Reads the challenges of an answer's WWW-Authenticate headers, in order; raises InvalidChallenge."""
    challenges: list[Challenge] = []
    for header in headers:
        if len(header) > _LONGEST:
            raise InvalidChallenge(f"is longer than {_LONGEST} characters")
        challenges += _parse(header)
    return challenges


def _parse(header: str) -> list[Challenge]:
    # Commas stand between challenges as well as between parameters: a name before a = is a parameter of the
    # challenge that was begun, and any other begins the next.
    challenges: list[Challenge] = []
    parameters: dict[str, str] | None = None
    at = _skip(_SEPARATORS, header, 0)
    while at < len(header):
        name = _TOKEN.match(header, at)
        if name is None:
            raise InvalidChallenge(f"has an unexpected character at position {at + 1}")
        at = name.end()
        equals = _EQUALS.match(header, at)
        if equals is not None and parameters is not None:
            value, at = _value(header, equals.end())
            if name[0].lower() in parameters:
                raise InvalidChallenge("gives a parameter twice")
            parameters[name[0].lower()] = value
            at = _end_of_item(header, at)
            continue
        if equals is not None:
            raise InvalidChallenge("has a parameter without a scheme")
        parameters = {}
        token68, at = _token68(header, at)
        challenges.append(Challenge(name[0].lower(), parameters, token68))
        if token68:
            parameters = None
    return challenges


def _token68(header: str, at: int) -> tuple[str, int]:
    # What follows a scheme: blanks and a token68, blanks and parameters, or a comma.
    start = _skip(_BLANKS, header, at)
    if start == len(header) or header[start] == ",":
        return "", _skip(_SEPARATORS, header, start)
    if start == at:
        raise InvalidChallenge(f"has an unexpected character at position {at + 1}")
    match = _TOKEN68.match(header, start)
    if match is None:
        return "", start
    return match[1], _skip(_SEPARATORS, header, match.end())


def _value(header: str, at: int) -> tuple[str, int]:
    if header.startswith('"', at):
        quoted = _QUOTED.match(header, at)
        if quoted is None:
            raise InvalidChallenge("has quotes that are not closed")
        return _ESCAPED.sub(r"\1", quoted[1]), quoted.end()
    token = _TOKEN.match(header, at)
    if token is None:
        raise InvalidChallenge(f"has no value at position {at + 1}")
    return token[0], token.end()


def _end_of_item(header: str, at: int) -> int:
    at = _skip(_BLANKS, header, at)
    if at < len(header) and header[at] != ",":
        raise InvalidChallenge(f"has an unexpected character at position {at + 1}")
    return _skip(_SEPARATORS, header, at)


def _skip(pattern: re.Pattern[str], header: str, at: int) -> int:
    match = pattern.match(header, at)
    return at if match is None else match.end()
