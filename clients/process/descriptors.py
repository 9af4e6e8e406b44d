"""Whether there is no file descriptor left, which says nothing of what was to be opened."""

import errno
from typing import Final

_GONE: Final = frozenset({errno.EMFILE, errno.ENFILE})


def is_shortage(error: OSError) -> bool:
    """Tell whether an error says so, of this process or of the machine."""
    return error.errno in _GONE
