"""What a cache has of a blob."""

from enum import StrEnum


class Kept(StrEnum):
    """What there is of it on the disk."""

    STORED = "stored"
    FETCHING = "fetching"
    ABSENT = "absent"
