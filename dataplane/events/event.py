"""A pull or check that has happened, as the control plane stores it."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from google.protobuf.timestamp_pb2 import Timestamp

from penstock.v1.pull_pb2 import PullEvent


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
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def decode(cls, fields: dict[str, Any]) -> Self:
        """Read parsed JSON of `encode`; raises TypeError for fields of another version."""
        return cls(**fields)

    def message(self) -> PullEvent:
        """Give what is sent."""
        fields = asdict(self)
        time, is_pull = Timestamp(), fields.pop("is_pull")
        time.FromMicroseconds(round(fields.pop("time") * 1e6))
        kind = PullEvent.Kind.PULL if is_pull else PullEvent.Kind.CHECK
        return PullEvent(kind=kind, time=time, **fields)
