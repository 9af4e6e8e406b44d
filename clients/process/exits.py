"""How a process ends: exit codes that scripts and supervisors can tell apart."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every Penstock process; those above 63 are named in sysexits.h."""

    OK = 0
    FAILED = 1
    """What was asked for was tried, and failed."""
    USAGE = 2
    """The command line is wrong."""
    UNAVAILABLE = 69
    """A server cannot be reached, or says that it cannot answer now."""
    NO_PERMISSION = 77
    """The token is missing, refused, or not enough for this."""
    CONFIGURATION = 78
    """A setting, port, directory or database is wrong: starting again will not help."""


class ConfigurationError(Exception):
    """A process cannot start as it is set up; ends it with `Exit.CONFIGURATION`.

    `str()` is one sentence for people: what is wrong, in which setting, and what to do.
    """
