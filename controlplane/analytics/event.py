"""What nodes report, parsed: an event that can be stored, or a ValueError that says why not."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from controlplane.analytics.times import milliseconds
from penstock.v1.pull_pb2 import PullEvent

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_LONGEST: Final = 200
# 16 TiB, more than anything that is pulled at once: half a million such pulls still fit into one sum.
_MOST_BYTES: Final = 1 << 44
_MOST_BLOBS: Final = 1 << 30
# How far the clock of a node may be before this one.
_AHEAD: Final = timedelta(days=1)
_TEXTS: Final = (
    "organization_uid",
    "artifact_uid",
    "customer_uid",
    "user_uid",
    "token_uid",
    "tag",
    "digest",
    "platform",
    "platform_digest",
    "address",
    "client",
)


@dataclass(frozen=True, slots=True)
class Event:
    """A pull or check that a node served; the fields are those of penstock.v1.PullEvent."""

    event_id: bytes
    # Milliseconds since 1970.
    time: int
    kind: int
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
    bytes_redirected: int

    @classmethod
    def parse(cls, message: PullEvent, *, now: datetime, kept_since: datetime) -> Self:
        """Read an event; raises ValueError with a sentence.

        Events from before `kept_since`, or of a clock that is a day ahead, cannot be stored. Numbers
        that no pull has are cut to the nearest that one could have.
        """
        if not _ID.fullmatch(message.id):
            raise ValueError("its id is not 32 hexadecimal digits")
        if message.kind not in (PullEvent.PULL, PullEvent.CHECK):
            raise ValueError("it is neither a pull nor a check")
        if not message.organization_uid or not message.artifact_uid:
            raise ValueError("it names no organization or no artifact")
        time = message.time.seconds * 1000 + message.time.nanos // 1_000_000
        if not milliseconds(kept_since) <= time <= milliseconds(now + _AHEAD):
            raise ValueError("its time is older than what is kept, or ahead of the control plane's")
        texts = {name: _line(getattr(message, name)) for name in _TEXTS}
        return cls(
            event_id=bytes.fromhex(message.id),
            time=time,
            kind=message.kind,
            bytes_sent=min(max(message.bytes_sent, 0), _MOST_BYTES),
            warm_blobs=min(max(message.warm_blobs, 0), _MOST_BLOBS),
            cold_blobs=min(max(message.cold_blobs, 0), _MOST_BLOBS),
            completed=message.completed,
            bytes_redirected=min(max(message.bytes_redirected, 0), _MOST_BYTES),
            **texts,
        )


def _line(text: str) -> str:
    # PostgreSQL takes no NUL, and tables show no control characters.
    text = text[:_LONGEST]
    return text if text.isprintable() else "".join(filter(str.isprintable, text))
