"""Secrets for commands: from standard input or a prompt, never from the command line."""

import getpass
import sys

from clients.cli.failure import Failure
from clients.process.exits import Exit

_LONGEST = 64 * 1024


def read_secret_line(what: str, *, stdin: bool) -> str:
    """Read one secret: the first line of standard input, or what is typed at a terminal, unseen.

    Command lines are visible to every user of a machine and kept by shells. Raises Failure where there is
    nothing to read, or nobody to ask.
    """
    if stdin:
        line = sys.stdin.readline(_LONGEST).rstrip("\r\n")
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
