"""Pages of lists (AIP-158)."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from controlplane.api.validation import Violations

_USUAL_SIZE: Final = 50
_LARGEST_SIZE: Final = 1000
_SEAL_LENGTH: Final = 8

# Of ids and offsets, as databases count them.
LARGEST_NUMBER: Final = 2**31 - 1
_WRONG: Final = "is not one of this list: give next_page_token as it came, or leave it out."

_Row = TypeVar("_Row")
_Key = TypeVar("_Key")


class PagedRequest(Protocol):
    """A request of a List method."""

    page_size: int
    page_token: str


@dataclass(frozen=True, slots=True)
class Page(Generic[_Key]):
    """At most `size` rows, after the one whose key is `after`; None for the first page."""

    size: int
    after: _Key | None
    scope: str

    @property
    def limit(self) -> int:
        """How many rows to read: one more than are shown, to know whether others follow."""
        return self.size + 1

    def cut(self, rows: Sequence[_Row], key: Callable[[_Row], str]) -> tuple[Sequence[_Row], str]:
        """Give the rows to show, of at most `limit`, and the token of the next page, empty for none."""
        if len(rows) <= self.size:
            return rows, ""
        shown = rows[: self.size]
        return shown, _token(self.scope, key(shown[-1]))


def text(key: str) -> str:
    """Read a key that is text; raises ValueError for what no database holds."""
    if "\0" in key:
        raise ValueError(_WRONG)
    return key


def number(key: str) -> int:
    """Read a key that is an id or an offset; raises ValueError."""
    if not (key.isascii() and key.isdecimal()) or len(key) > len(str(LARGEST_NUMBER)):
        raise ValueError(_WRONG)
    if int(key) > LARGEST_NUMBER:
        raise ValueError(_WRONG)
    return int(key)


def page(
    request: PagedRequest, scope: str, violations: Violations, read: Callable[[str], _Key]
) -> Page[_Key]:
    """Read size and token of a request; `scope` says which list it is, its parent included.

    `read` makes of the token's text what rows are compared with, and raises ValueError for what the list
    could not have written: tokens can be forged, and show nothing then that the list would not.
    """
    if request.page_size < 0:
        violations.add("page_size", f"must not be negative: give 1 to {_LARGEST_SIZE}, or leave it out.")
    size = min(request.page_size or _USUAL_SIZE, _LARGEST_SIZE)
    after = None
    if request.page_token:
        try:
            after = read(text(_opened(scope, request.page_token)))
        except (ValueError, OverflowError):
            violations.add("page_token", _WRONG)
    return Page(max(size, 1), after, scope)


def _token(scope: str, key: str) -> str:
    return base64.urlsafe_b64encode(_seal(scope, key) + key.encode()).rstrip(b"=").decode()


def _opened(scope: str, token: str) -> str:
    try:
        content = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(_WRONG) from error
    key = content[_SEAL_LENGTH:].decode()
    if not key or _seal(scope, key) != content[:_SEAL_LENGTH]:
        raise ValueError(_WRONG)
    return key


def _seal(scope: str, key: str) -> bytes:
    # Against mistakes, not against attackers: a page shows nothing that its list would not.
    return hashlib.sha256(f"{scope}\0{key}".encode()).digest()[:_SEAL_LENGTH]
