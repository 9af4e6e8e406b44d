"""What sync brings of an artifact, and what pulls may: its sync policy, as it is kept and followed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Final, Self

_AGE: Final = "max_tag_age"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPolicy:
    """One artifact's policy, without its schedule; the fields were checked when it was saved."""

    include_tags: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    version_range: str = ""
    # 0 for all.
    newest: int = 0
    platforms: tuple[str, ...] = ()
    # Tags that are gone upstream stay for ever; otherwise two runs in a row that missed them do.
    keep_deleted_tags: bool = False
    sync_only: bool = False
    max_tag_age: timedelta | None = None
    revalidate_before_answer: bool = False

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """Read what `kept` gave; what a newer version wrote besides is ignored."""
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in kept.items() if name in known}
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = tuple(value)
        if _AGE in values:
            values[_AGE] = timedelta(seconds=values[_AGE])
        return cls(**values)

    def kept(self) -> dict[str, Any]:
        """Give what the table keeps: JSON of the fields that are not as usual."""
        usual = type(self)()
        values: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value == getattr(usual, field.name):
                continue
            if isinstance(value, tuple):
                value = list(value)
            elif isinstance(value, timedelta):
                value = value.total_seconds()
            values[field.name] = value
        return values
