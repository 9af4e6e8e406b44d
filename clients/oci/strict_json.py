"""JSON from outside that can be read in one way only."""

import json
from typing import Any, NoReturn

# Deeper than any document of the specifications, and far from the parser's own limit.
_DEPTH = 32
# What else a document may have, by the marks in it, those in texts included: several times what an index of
# 4 MiB, or the longest page of tags, has. An upstream could else have each of them take a second and 100 MB.
_MOST = {b"{": 100_000, b"[": 100_000, b",": 1_000_000}


class InvalidJson(ValueError):
    """Not JSON, or JSON that two readers could take for different things; `str()` completes a sentence."""


def read_object(content: bytes) -> dict[str, Any]:
    """Reads a JSON object from UTF-8; raises InvalidJson.

    Refused are a key that occurs twice in one object, NaN and infinities, a byte order mark, other
    encodings, nesting deeper than 32, and more objects, lists or values than any document of the
    specifications has. The caller bounds the size of `content`.
    """
    if any(content.count(mark) > most for mark, most in _MOST.items()):
        raise InvalidJson("has more parts than are read")
    try:
        document = json.loads(
            content.decode("utf-8"), object_pairs_hook=_unambiguous, parse_constant=_no_constant
        )
    except RecursionError:
        raise InvalidJson("is nested too deeply") from None
    except InvalidJson:
        raise
    except ValueError:
        raise InvalidJson("is not JSON") from None
    if not isinstance(document, dict):
        raise InvalidJson("is not a JSON object")
    _check_depth(document)
    return document


def check_spelling(fields: dict[str, Any], known: frozenset[str]) -> None:
    """Raises InvalidJson for a field that is one of `known` but for its case.

    Go's reader, which most clients use, takes "Layers" for "layers"; what they would see is not
    what we would.
    """
    folded = {name.casefold() for name in known}
    for name in fields:
        if name not in known and name.casefold() in folded:
            raise InvalidJson(f"has a field {name!a} in the wrong case")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidJson("has the same key twice in one object")
    return fields


def _no_constant(_name: str) -> NoReturn:
    raise InvalidJson("has a number that JSON does not know")


def _check_depth(document: dict[str, Any]) -> None:
    level: list[Any] = [document]
    for _ in range(_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise InvalidJson("is nested too deeply")
