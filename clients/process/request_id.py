"""What a request is called, in everything that is logged and asked for its sake, in all processes."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

HEADER: Final = "X-Request-Id"
"""Of requests and answers over HTTP; in lower case, of calls over gRPC."""

_FORM: Final = re.compile(r"[A-Za-z0-9._~:@=+/-]{1,128}")
_current: Final[ContextVar[str]] = ContextVar("request_id", default="")


def current() -> str:
    """Give the id of the request that is being answered; empty where there is none."""
    return _current.get()


def well_formed(text: str) -> str:
    """Give an id that somebody sent as it is; empty for what is none."""
    return text if _FORM.fullmatch(text) else ""


@contextmanager
def answering(request_id: str) -> Iterator[None]:
    """Let this be the request that is being answered."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)


class RequestIds:
    """Makes ids that no other process makes: where one begins is random, and then they are counted."""

    __slots__ = ("_count", "_prefix")

    def __init__(self) -> None:
        self._prefix = f"{secrets.token_hex(6)}-".encode("ascii")
        self._count = 0

    def new(self) -> bytes:
        """Give the next one, for a fraction of a microsecond."""
        self._count += 1
        return b"%s%x" % (self._prefix, self._count)
