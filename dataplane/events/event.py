"""A pull or check that has happened, as the control plane stores it."""

import json
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from google.protobuf.timestamp_pb2 import Timestamp

from penstock.v1.pull_pb2 import PullEvent

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Event:
    """One command of a client; fields as in penstock.v1.PullEvent, `time` in seconds since the epoch."""

    id: str
    time: float
    is_pull: bool
    organization_uid: str
    artifact_uid: str
    customer_uid: str
    user_uid: str
    token_uid: str
    tag: str
    digest: str
    platform: str
    platform_digest: str
    address: str
    client: str
    bytes_sent: int
    warm_blobs: int
    cold_blobs: int
    completed: bool
    bytes_redirected: int = 0

    def encode(self) -> str:
        """Give one line of text that `decode` takes."""
        return _ENCODER.encode({name: getattr(self, name) for name in _FIELDS})

    @classmethod
    def decode(cls, values: dict[str, Any]) -> Self:
        """Read parsed JSON of `encode`; raises TypeError for fields of another version."""
        return cls(**values)

    def message(self) -> PullEvent:
        """Give what is sent."""
        time = Timestamp()
        time.FromMicroseconds(round(self.time * 1e6))
        kind = PullEvent.Kind.PULL if self.is_pull else PullEvent.Kind.CHECK
        return PullEvent(kind=kind, time=time, **{name: getattr(self, name) for name in _ALIKE})


_FIELDS: Final = tuple(each.name for each in fields(Event))
_ALIKE: Final = tuple(name for name in _FIELDS if name not in ("time", "is_pull"))
