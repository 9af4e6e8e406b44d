"""Collects everything that is wrong with a request, to say it at once."""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeVar, cast

from clients.process.networks import parse_address
from controlplane.api.errors import Violation, invalid

_Given = TypeVar("_Given")
_Parsed = TypeVar("_Parsed")

_LONGEST_TEXT: Final = 100


class Violations:
    """Used as a context: leaving it raises ApiError INVALID_ARGUMENT if anything was found."""

    def __init__(self) -> None:
        self._found: list[Violation] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._found:
            raise invalid(self._found)

    def add(self, field: str, description: str) -> None:
        """Say what is wrong with the field at this path of the request."""
        self._found.append(Violation(field, description))

    def check(self, field: str, parse: Callable[[_Given], _Parsed], given: _Given) -> _Parsed:
        """Parse a field; the sentence of a ValueError becomes a violation.

        What is given then is None, and nobody gets to see it: the context raises.
        """
        try:
            return parse(given)
        except ValueError as error:
            self.add(field, str(error))
            return cast("_Parsed", None)

    def check_address(self, field: str, text: str) -> str:
        """Give an IP address as it is stored, however it is written."""
        address = parse_address(text)
        if address is None:
            self.add(field, "must be one IP address, like 192.0.2.1 or 2001:db8::1.")
        return str(address)

    def check_text(self, field: str, text: str) -> str:
        """Give a text for people, if it is a line of at most 100 characters."""
        if len(text) > _LONGEST_TEXT or not text.isprintable():
            self.add(field, f"must be one line of at most {_LONGEST_TEXT} characters.")
        return text
