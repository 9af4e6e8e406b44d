"""Whether a secret stands in some bytes: as it is, or in a form that anybody could turn back."""

import base64
import gc
import json
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from urllib.parse import quote

# Of a long token, a part is as bad as the whole; shorter ones are looked for whole.
_PART = 40


def occurs(secret: str, content: bytes) -> bool:
    """Tells whether a secret occurs: plain, quoted for a URL or JSON, in hex, or in base64 at any place."""
    return any(form in content for form in _forms(secret))


@cache
def _forms(secret: str) -> frozenset[bytes]:
    parts = {secret, secret[:_PART], secret[-_PART:]} if len(secret) > 2 * _PART else {secret}
    return frozenset(form for part in parts for form in _forms_of(part.encode()))


def _forms_of(raw: bytes) -> Iterator[bytes]:
    yield raw
    yield quote(raw, safe="").encode()
    yield json.dumps(raw.decode())[1:-1].encode()
    yield raw.hex().encode()
    for before in range(3):
        # Base64 of anything that has the secret after so many other bytes (modulo 3): the characters that
        # hang on the secret alone.
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
            yield encode(bytes(before) + raw)[first:last]


def remembers(root: object, secret: str) -> bool:
    """Tells whether a secret occurs in what an object holds: its attributes and containers, to the end.

    Not in what it calls: functions and methods lead to all of the process.
    """
    seen: set[int] = set()
    waiting: list[object] = [root]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or callable(each) or isinstance(each, ModuleType):
            continue
        seen.add(id(each))
        if isinstance(each, str | bytes):
            if occurs(secret, each.encode() if isinstance(each, str) else each):
                return True
        else:
            waiting += gc.get_referents(each)
    return False
