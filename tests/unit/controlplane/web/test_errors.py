"""Errors on the HTTP port."""

import json

import grpc
import pytest

from controlplane.api import errors as api
from controlplane.api.errors import ApiError, Violation
from controlplane.web import errors


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("INVALID_ARGUMENT", 400),
        ("FAILED_PRECONDITION", 400),
        ("UNAUTHENTICATED", 401),
        ("PERMISSION_DENIED", 403),
        ("NOT_FOUND", 404),
        ("ALREADY_EXISTS", 409),
        ("ABORTED", 409),
        ("RESOURCE_EXHAUSTED", 429),
        ("INTERNAL", 500),
        ("UNKNOWN", 500),
        ("UNIMPLEMENTED", 501),
        ("UNAVAILABLE", 503),
    ],
)
def test_codes_have_their_status(code: str, status: int) -> None:
    """The mapping is that of google/rpc/code.proto."""
    assert errors.http_status(ApiError(grpc.StatusCode[code], "X", "Y.")) == status


def test_the_body_is_a_status() -> None:
    """All details are in it, with their types."""
    body = json.loads(errors.body(api.invalid([Violation("a", "is wrong.")])))
    assert (body["code"], body["message"]) == (3, "a: is wrong.")
    assert [item["@type"].rpartition(".")[2] for item in body["details"]] == ["ErrorInfo", "BadRequest"]
    assert body["details"][1]["fieldViolations"] == [{"field": "a", "description": "is wrong."}]


@pytest.mark.parametrize("status", [400, 404, 405, 413, 500, 503])
def test_every_status_has_an_error(status: int) -> None:
    """What no handler took is told in the same form, without detail."""
    error = errors.for_status(status)
    assert error.reason
    assert str(error).endswith(".")
    assert (status < 500) == (error.code is not grpc.StatusCode.INTERNAL)
