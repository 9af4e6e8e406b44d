"""The data directory of a node, which does without when its disk takes nothing."""

import logging
from pathlib import Path

from clients.process.place import Unwritable, prepare

_LOG = logging.getLogger(__name__)


def prepare_data_dir(directory: Path) -> Path:
    """Make it ready if that can be, and give its absolute path; raises ConfigurationError where it never can.

    A node that starts on a disk that is full, broken or read-only is worth more than none: it serves what
    is there, and passes the rest through.
    """
    try:
        return prepare(directory)
    except Unwritable as error:
        _LOG.error("%s This node keeps nothing until it is.", error)
        return directory.expanduser().absolute()
