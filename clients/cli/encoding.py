"""What of Unicode comes in on a command line, and what a terminal or pipe takes of it."""

import io
import sys
from collections.abc import Sequence

from clients.cli.failure import Failure
from clients.process.exits import Exit


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise Failure for an argument that is no text: nothing that the API takes could hold it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise Failure(
                f"{argument!r} is no text in this terminal's encoding: write it in UTF-8.", Exit.USAGE
            ) from None


def let_all_be_written() -> None:
    """Have characters that the encoding of standard output lacks escaped, and not end the command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def takes_all() -> bool:
    """Tell whether the encoding of standard output has all characters."""
    return "utf" in (sys.stdout.encoding or "").lower()
