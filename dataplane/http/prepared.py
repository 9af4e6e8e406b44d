"""Heads of answers as bytes, made once by what makes them for every other answer, and then kept."""

import time
from dataclasses import dataclass
from http.client import responses
from typing import Final, Self

from dataplane.http.head import date, head
from dataplane.http.message import Answer


@dataclass(frozen=True, slots=True)
class PreparedHead:
    """The head of an answer, but for its date and the request's id."""

    before: bytes
    after: bytes

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Render as Tornado does for a client of HTTP/1.1 whose connection is kept."""
        lines = [f"HTTP/1.1 {answer.status} {responses[answer.status]}"]
        lines += (f"{name}: {value}" for name, value in head(answer, "").get_all())
        at = next(number for number, line in enumerate(lines) if line.startswith("Date: "))
        before = "\r\n".join((*lines[:at], "Date: "))
        # The id is the last.
        after = "\r\n".join(("", *lines[at + 1 :]))
        return cls(before.encode("latin-1"), after.encode("latin-1"))

    def now(self, request_id: bytes, body: bytes = b"") -> bytes:
        """Give the head with the present date and the request's id, and the body behind it."""
        return b"".join((self.before, _today.now(), self.after, request_id, b"\r\n\r\n", body))

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.before) + len(self.after)


class _Today:
    def __init__(self) -> None:
        self._second = 0
        self._text = b""

    def now(self) -> bytes:
        # Clocks are set back as well.
        if not 0 <= time.time() - self._second < 1:
            self._second = int(time.time())
            self._text = date(self._second).encode("ascii")
        return self._text


_today: Final = _Today()
