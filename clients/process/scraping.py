"""Who may read a process's metrics."""

import hmac
from typing import Final

_SCHEME: Final = "bearer"


class ScrapeToken:
    """A token that scrapers show as `Authorization: Bearer <token>`; an empty one lets everybody in."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def admits(self, authorization: str) -> bool:
        """Tell whether the value of an Authorization header is good; bad ones all take as long."""
        if not self._token:
            return True
        scheme, _, shown = authorization.partition(" ")
        return scheme.lower() == _SCHEME and hmac.compare_digest(shown.strip().encode(), self._token)
