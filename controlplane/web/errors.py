"""Errors on the HTTP port: google.rpc.Status as JSON."""

from http import HTTPStatus
from typing import Final

import grpc
from google.protobuf import json_format

from controlplane.api.errors import ApiError

_STATUS: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    grpc.StatusCode.ABORTED: HTTPStatus.CONFLICT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    grpc.StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


def http_status(error: ApiError) -> HTTPStatus:
    """Give the HTTP status of an error, as google/rpc/code.proto maps them."""
    return _STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)


def body(error: ApiError) -> str:
    """Render an error with its details."""
    return str(json_format.MessageToJson(error.status(), indent=None))


def for_status(status: int) -> ApiError:
    """Give the error for a request that no handler took."""
    match status:
        case HTTPStatus.NOT_FOUND:
            return ApiError(
                grpc.StatusCode.NOT_FOUND,
                "ROUTE_UNKNOWN",
                "There is nothing at this path: see /healthz, /readyz, /metrics and /api/v1.",
            )
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return ApiError(
                grpc.StatusCode.UNIMPLEMENTED,
                "METHOD_NOT_ALLOWED",
                "This path takes another method: see the Allow header.",
            )
        case _ if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return ApiError(
                grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "The request cannot be understood."
            )
        case _:
            return ApiError(
                grpc.StatusCode.INTERNAL, "INTERNAL", "The control plane failed; its log says why."
            )
