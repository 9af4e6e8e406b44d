"""Errors of the API: raised by servicers, rendered once as google.rpc.Status (AIP-193)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # they ship no types

from clients.oci.errors import (
    CredentialRefused,
    PermissionMissing,
    UnknownHost,
    UntrustedTls,
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnavailable,
)

DOMAIN: Final = "penstock.dev"

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
# Trailing metadata beyond 8 KiB is refused by most clients of gRPC.
_MOST_VIOLATIONS: Final = 20
_LONGEST_SENTENCE: Final = 300


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field of a request: its path, and a sentence with a good example."""

    field: str
    description: str


class ApiError(Exception):
    """An answer other than the one that was asked for; `str()` is one sentence for users."""

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        sentence: str,
        *,
        metadata: Mapping[str, str] = _NOTHING,
        violations: Iterable[Violation] = (),
        retry_after: float | None = None,
    ) -> None:
        """Make an error.

        `reason` is UPPER_SNAKE_CASE and stays as it is for ever: clients compare it.
        `retry_after` is in seconds.
        """
        super().__init__(sentence)
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata)
        self.violations = tuple(violations)
        self.retry_after = retry_after

    def adding(self, sentence: str) -> "ApiError":
        """Give the same error with one sentence more."""
        return ApiError(
            self.code,
            self.reason,
            f"{self} {sentence}",
            metadata=self.metadata,
            violations=self.violations,
            retry_after=self.retry_after,
        )

    def status(self) -> status_pb2.Status:
        """Render it, with ErrorInfo and the details that apply."""
        details: list[Message] = [
            error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
        ]
        if self.violations:
            details.append(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(
                            field=item.field, description=_bounded(item.description)
                        )
                        for item in self.violations[:_MOST_VIOLATIONS]
                    ]
                )
            )
        if self.retry_after is not None:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(int(self.retry_after * 1_000_000_000))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        return status_pb2.Status(
            code=self.code.value[0], message=_bounded(str(self)), details=[_packed(item) for item in details]
        )


def invalid(violations: Iterable[Violation]) -> ApiError:
    """INVALID_ARGUMENT with everything that is wrong with the request."""
    found = tuple(violations)
    sentence = " ".join(f"{item.field}: {item.description}" for item in found)
    return ApiError(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", sentence, violations=found)


def not_found(reason: str, sentence: str, **metadata: str) -> ApiError:
    """NOT_FOUND: it does not exist, or the caller may not know that it does."""
    return ApiError(grpc.StatusCode.NOT_FOUND, reason, sentence, metadata=metadata)


def already_exists(reason: str, sentence: str, **metadata: str) -> ApiError:
    """ALREADY_EXISTS."""
    return ApiError(grpc.StatusCode.ALREADY_EXISTS, reason, sentence, metadata=metadata)


def precondition(reason: str, sentence: str, **metadata: str) -> ApiError:
    """FAILED_PRECONDITION: something else has to change first."""
    return ApiError(grpc.StatusCode.FAILED_PRECONDITION, reason, sentence, metadata=metadata)


def aborted(reason: str, sentence: str, **metadata: str) -> ApiError:
    """ABORTED: somebody else was quicker; read again, and try again."""
    return ApiError(grpc.StatusCode.ABORTED, reason, sentence, metadata=metadata)


def unauthenticated(reason: str, sentence: str) -> ApiError:
    """UNAUTHENTICATED: no token, or one that is not accepted."""
    return ApiError(grpc.StatusCode.UNAUTHENTICATED, reason, sentence)


def denied(reason: str, sentence: str, **metadata: str) -> ApiError:
    """PERMISSION_DENIED: the caller is known, and may not do this."""
    return ApiError(grpc.StatusCode.PERMISSION_DENIED, reason, sentence, metadata=metadata)


def unavailable(reason: str, sentence: str, *, retry_after: float | None = None, **metadata: str) -> ApiError:
    """UNAVAILABLE: the same request may succeed later, after `retry_after` seconds where known."""
    return ApiError(grpc.StatusCode.UNAVAILABLE, reason, sentence, metadata=metadata, retry_after=retry_after)


def exhausted(reason: str, sentence: str, *, retry_after: float | None = None, **metadata: str) -> ApiError:
    """RESOURCE_EXHAUSTED: a limit was reached, for `retry_after` seconds where known."""
    return ApiError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, reason, sentence, metadata=metadata, retry_after=retry_after
    )


# What an upstream did: the code, the reason that nodes act by, and the one that tells whoever is about to
# save something what is wrong with it. The first row that fits counts.
_UPSTREAM: Final[tuple[tuple[type[UpstreamError], grpc.StatusCode, str, str], ...]] = (
    (UnknownHost, grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", "UPSTREAM_HOST_UNKNOWN"),
    (UntrustedTls, grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", "UPSTREAM_TLS_FAILED"),
    (UpstreamUnavailable, grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", "UPSTREAM_UNAVAILABLE"),
    (
        CredentialRefused,
        grpc.StatusCode.FAILED_PRECONDITION,
        "UPSTREAM_DENIED",
        "UPSTREAM_CREDENTIAL_REFUSED",
    ),
    (
        PermissionMissing,
        grpc.StatusCode.FAILED_PRECONDITION,
        "UPSTREAM_DENIED",
        "UPSTREAM_PERMISSION_MISSING",
    ),
    (UpstreamDenied, grpc.StatusCode.FAILED_PRECONDITION, "UPSTREAM_DENIED", "UPSTREAM_DENIED"),
    (UpstreamNotFound, grpc.StatusCode.NOT_FOUND, "UPSTREAM_NOT_FOUND", "UPSTREAM_NOT_FOUND"),
    (
        UpstreamRateLimited,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "UPSTREAM_RATE_LIMITED",
        "UPSTREAM_RATE_LIMITED",
    ),
    (UpstreamInvalid, grpc.StatusCode.FAILED_PRECONDITION, "UPSTREAM_INVALID", "UPSTREAM_INVALID"),
)


def from_upstream(error: UpstreamError) -> ApiError:
    """Translate what an upstream did."""
    code, reason, _ = _upstream_row(error)
    return _upstream_error(error, code, reason, str(error))


def from_check(error: UpstreamError, **metadata: str) -> ApiError:
    """FAILED_PRECONDITION for what an upstream did when it was asked before something is saved."""
    _, _, reason = _upstream_row(error)
    return _upstream_error(error, grpc.StatusCode.FAILED_PRECONDITION, reason, str(error), **metadata)


def _upstream_row(error: UpstreamError) -> tuple[grpc.StatusCode, str, str]:
    for kind, code, reason, cause in _UPSTREAM:
        if isinstance(error, kind):
            return code, reason, cause
    raise TypeError(f"{type(error).__name__} has no row in the table of upstream errors") from error


def _upstream_error(
    error: UpstreamError, code: grpc.StatusCode, reason: str, sentence: str, **metadata: str
) -> ApiError:
    metadata = {"upstream_host": error.host, **metadata}
    if isinstance(error, PermissionMissing):
        metadata["permission"] = error.permission
    return ApiError(code, reason, sentence, metadata=metadata, retry_after=error.retry_after)


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _bounded(sentence: str) -> str:
    return sentence if len(sentence) <= _LONGEST_SENTENCE else f"{sentence[: _LONGEST_SENTENCE - 3]}..."
