"""Secrets for commands: from standard input or a prompt, never from the command line."""

import getpass
import sys

from clients.cli.failure import Failure
from clients.process.exits import Exit

_LONGEST = 64 * 1024


def read_secret_line(what: str, *, stdin: bool, last: bool = True) -> str:
    """Read one secret: the next line of standard input, or what is typed at a terminal, unseen.

    Command lines are visible to every user of a machine and kept by shells. `last` says that nothing may come
    after it. Raises Failure where there is nothing to read, too much of it, or nobody to ask.
    """
    if stdin:
        try:
            line = _first_line(what, last=last)
            line.encode()
        except UnicodeError:
            # In either direction: how the locale has bytes read that are no text differs.
            raise Failure(f"The {what.lower()} is not in UTF-8.", Exit.USAGE) from None
    elif sys.stdin.isatty():
        line = getpass.getpass(f"{what}: ")
    else:
        option = f"--{what.lower().replace(' ', '-')}-stdin"
        raise Failure(
            f"There is no terminal to ask for the {what.lower()}: give it with {option}.", Exit.USAGE
        )
    if not line:
        raise Failure(f"The {what.lower()} is empty.", Exit.USAGE)
    return line


def _first_line(what: str, *, last: bool) -> str:
    line = sys.stdin.readline(_LONGEST).rstrip("\r\n")
    if last and not sys.stdin.isatty() and sys.stdin.read(_LONGEST).strip():
        raise Failure(
            f"The {what.lower()} goes on after its first line: give all of it on one line,"
            " a key in JSON as `jq -c . key.json` writes it.",
            Exit.USAGE,
        )
    return line
