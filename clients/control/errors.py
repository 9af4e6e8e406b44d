"""What the control plane refuses, as one tree of exceptions; gRPC's own are translated here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # they ship no types

_DETAILS_KEY: Final = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that is wrong, and why."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Details:
    """What a `google.rpc.Status` says beside code and message; empty where the server said nothing."""

    reason: str = ""
    metadata: Mapping[str, str] | None = None
    violations: tuple[Violation, ...] = ()
    retry_after: float | None = None


class ControlError(Exception):
    """A call to the control plane failed; `str()` is the server's sentence.

    `code` is the gRPC status; `reason` the UPPER_SNAKE word of its ErrorInfo, empty without one;
    `metadata` what that says beside; `violations` every wrong field of the request; `retry_after`
    the seconds to wait before another try, where the server knows.
    """

    def __init__(self, sentence: str, code: grpc.StatusCode, details: Details | None = None) -> None:
        super().__init__(sentence)
        details = details or Details()
        self.code = code
        self.reason = details.reason
        self.metadata: Mapping[str, str] = details.metadata or {}
        self.violations = details.violations
        self.retry_after = details.retry_after


class Unavailable(ControlError):
    """Nobody can answer now; the same call may succeed later."""


class Unreachable(Unavailable):
    """The control plane itself could not be reached, or did not answer in time."""


class Unauthenticated(ControlError):
    """The token is missing, wrong, expired or revoked."""


class PermissionDenied(ControlError):
    """The token is good, but not for this."""


class NotFound(ControlError):
    """There is no such thing, or the caller may not see it."""


class AlreadyExists(ControlError):
    """Something of this name is there."""


class InvalidArgument(ControlError):
    """The request is wrong whatever the state of the system; see `violations`."""


class FailedPrecondition(ControlError):
    """The state of the system, or of an upstream, does not allow it."""


class Aborted(ControlError):
    """Somebody else changed the same thing meanwhile."""


class ResourceExhausted(ControlError):
    """A limit is reached, here or upstream; see `retry_after`."""


_CLASSES: Final[Mapping[grpc.StatusCode, type[ControlError]]] = {
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: Unavailable,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
}


@contextmanager
def translated() -> Iterator[None]:
    """Raise a ControlError for every gRPC error that leaves the block."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise translate(error) from error


def translate(error: grpc.aio.AioRpcError) -> ControlError:
    """Give the error of this tree that stands for the given one."""
    code = error.code()
    details = _details(error)
    kind = _CLASSES.get(code, ControlError)
    # The server gives every error a reason; one without is of the transport's making.
    if kind is Unavailable and not details.reason:
        kind = Unreachable
    sentence = error.details() or f"The control plane answered {code.name} and gave no reason."
    return kind(sentence, code, details)


def _details(error: grpc.aio.AioRpcError) -> Details:
    packed = next((value for key, value in error.trailing_metadata() or () if key == _DETAILS_KEY), None)
    if not isinstance(packed, bytes):
        return Details()
    try:
        return _unpack(status_pb2.Status.FromString(packed))
    except DecodeError:
        # A proxy between may have cut it off; code and message are still true.
        return Details()


def _unpack(status: status_pb2.Status) -> Details:
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    retry_after: float | None = None
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
        if detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return Details(
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(Violation(entry.field, entry.description) for entry in bad.field_violations),
        retry_after=retry_after,
    )
