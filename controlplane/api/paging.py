"""Pages of lists (AIP-158)."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from controlplane.api.validation import Violations

_USUAL_SIZE: Final = 50
_LARGEST_SIZE: Final = 1000
_SEAL_LENGTH: Final = 8

_Row = TypeVar("_Row")


class PagedRequest(Protocol):
    """A request of a List method."""

    page_size: int
    page_token: str


@dataclass(frozen=True, slots=True)
class Page:
    """At most `size` rows, after the one whose key is `after`; empty for the first page."""

    size: int
    after: str
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


def page(request: PagedRequest, scope: str, violations: Violations) -> Page:
    """Read size and token of a request; `scope` says which list it is, its parent included."""
    if request.page_size < 0:
        violations.add("page_size", f"must not be negative: give 1 to {_LARGEST_SIZE}, or leave it out.")
    size = min(request.page_size or _USUAL_SIZE, _LARGEST_SIZE)
    after = _key(scope, request.page_token)
    if after is None:
        violations.add(
            "page_token", "is not one of this list: give next_page_token as it came, or leave it out."
        )
    return Page(max(size, 1), after or "", scope)


def _token(scope: str, key: str) -> str:
    return base64.urlsafe_b64encode(_seal(scope, key) + key.encode()).rstrip(b"=").decode()


def _key(scope: str, token: str) -> str | None:
    if not token:
        return ""
    try:
        content = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        key = content[_SEAL_LENGTH:].decode()
    except (binascii.Error, ValueError):
        return None
    return key if key and _seal(scope, key) == content[:_SEAL_LENGTH] else None


def _seal(scope: str, key: str) -> bytes:
    # Against mistakes, not against attackers: a page shows nothing that its list would not.
    return hashlib.sha256(f"{scope}\0{key}".encode()).digest()[:_SEAL_LENGTH]
