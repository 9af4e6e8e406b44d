"""Times of the tables as times of messages."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(moment: datetime | None) -> Timestamp | None:
    """Give a moment for a message; None leaves the field unset."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def duration(length: timedelta) -> Duration:
    """Give a length of time for a message."""
    message = Duration()
    message.FromTimedelta(length)
    return message


def moment(message: Timestamp) -> datetime:
    """Give the moment of a message, in UTC; raises ValueError outside of the years 1 to 9999."""
    try:
        return message.ToDatetime(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("no such time") from error
