"""Keys of Google's service accounts, as people give them: files, pasted and piped, made one line.

Artifact Registry takes such a key for a password, under a user name that says in which form
(`_json_key`: the file, `_json_key_base64`: its base64).
"""

import base64
import json
from typing import Any, Final

_PLAIN: Final = "_json_key"
_BASE64: Final = "_json_key_base64"
_BYTE_ORDER_MARK: Final = "\ufeff"
_WRONG: Final = (
    "must be a key of a Google service account, all of its JSON file from { to }, for the user name"
    f" {_PLAIN}, or base64 of that for {_BASE64}"
)


def is_google(username: str) -> bool:
    """Tell whether the password that goes with this user name is such a key."""
    return username in (_PLAIN, _BASE64)


def read_google_key(username: str, password: str) -> str:
    """Give the key on one line, as it is sent; raises ValueError with a sentence that has nothing of it.

    Line breaks, blanks and a byte order mark around and within mean nothing. Where what it was piped through
    wrote the breaks of the PEM key out, or escaped them once more, these are breaks again.
    """
    text = password.removeprefix(_BYTE_ORDER_MARK).strip()
    if username == _PLAIN:
        return _one_line(text)
    joined = "".join(text.split())
    try:
        decoded = base64.b64decode(joined, validate=True).decode("utf-8-sig")
    except ValueError:
        raise ValueError(f"{_WRONG}; this is no base64.") from None
    _one_line(decoded)
    return joined


def _one_line(text: str) -> str:
    try:
        key: Any = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        raise ValueError(f"{_WRONG}; this is no JSON, or not all of it.") from None
    if not isinstance(key, dict) or key.get("type") != "service_account":
        raise ValueError(f'{_WRONG}; this does not say "type": "service_account".')
    pem = key.get("private_key")
    if not isinstance(pem, str) or "PRIVATE KEY" not in pem:
        raise ValueError(f"{_WRONG}; this has no private_key.")
    key["private_key"] = pem.replace("\\n", "\n").replace("\r\n", "\n")
    return json.dumps(key, separators=(",", ":"))
