"""Kinds of values that settings have: durations and sizes as people write them, and counts."""

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from clients.process.duration import parse_duration
from clients.process.size import parse_size


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""Like `90s` or `1h30m`."""

Count = Annotated[int, Field(ge=0)]

Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
"""Bytes, like `20GiB`."""
