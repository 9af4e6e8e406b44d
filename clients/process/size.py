"""Sizes as people write them: `512`, `20GiB`."""

import re
from typing import Final

_SIZE: Final = re.compile(r"([0-9]{1,15}) ?(B|KiB|MiB|GiB|TiB)?", re.ASCII)
_UNITS: Final = {None: 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}


def parse_size(text: str) -> int:
    """Give the bytes that a text says; raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size: give bytes, or like 20GiB (KiB, MiB, GiB, TiB)")
    return int(match[1]) << _UNITS[match[2]]
