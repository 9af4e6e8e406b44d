"""Errors as google.rpc.Status."""

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from clients.oci import errors as upstream
from controlplane.api import errors
from controlplane.api.errors import ApiError, Violation
from controlplane.api.translate import translate
from controlplane.model.database import DatabaseUnavailable


def _details(error: ApiError) -> dict[str, Message]:
    found = {}
    for packed in error.status().details:
        message = getattr(error_details_pb2, packed.TypeName().rpartition(".")[2])()
        assert packed.Unpack(message)
        found[packed.TypeName()] = message
    return found


def test_every_error_has_one_error_info() -> None:
    """Domain, reason and metadata are there for programs."""
    info = _details(errors.not_found("TAG_UNKNOWN", "There is no such tag.", name="x"))[
        "google.rpc.ErrorInfo"
    ]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.domain, info.reason, dict(info.metadata)) == ("penstock.dev", "TAG_UNKNOWN", {"name": "x"})


def test_all_violations_are_listed() -> None:
    """BadRequest has each field; the sentence has them as well."""
    error = errors.invalid([Violation("a", "is wrong."), Violation("b.c", "is too.")])
    bad = _details(error)["google.rpc.BadRequest"]
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert [(item.field, item.description) for item in bad.field_violations] == [
        ("a", "is wrong."),
        ("b.c", "is too."),
    ]
    assert str(error) == "a: is wrong. b.c: is too."


def test_retry_info_is_there_where_known() -> None:
    """Seconds, fractions included."""
    retry = _details(errors.exhausted("X", "Later.", retry_after=1.5))["google.rpc.RetryInfo"]
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert "google.rpc.RetryInfo" not in _details(errors.unavailable("X", "Later."))


def test_details_fit_into_trailing_metadata() -> None:
    """However much is wrong, clients with gRPC's usual limit of 8 KiB can read it."""
    status = errors.invalid(Violation(f"field_{i}", "x" * 1000) for i in range(1000)).status()
    assert len(status.SerializeToString()) < 8000


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (upstream.UpstreamUnavailable("h", "S.", retry_after=2), "UNAVAILABLE", "UPSTREAM_UNAVAILABLE"),
        (upstream.UpstreamDenied("h", "S."), "FAILED_PRECONDITION", "UPSTREAM_DENIED"),
        (upstream.UpstreamNotFound("h", "S."), "NOT_FOUND", "UPSTREAM_NOT_FOUND"),
        (upstream.UpstreamRateLimited("h", "S."), "RESOURCE_EXHAUSTED", "UPSTREAM_RATE_LIMITED"),
        (upstream.UpstreamInvalid("h", "S."), "FAILED_PRECONDITION", "UPSTREAM_INVALID"),
        (upstream.ForbiddenAddress("h", "S."), "FAILED_PRECONDITION", "UPSTREAM_INVALID"),
    ],
)
def test_upstream_errors_have_one_table(error: upstream.UpstreamError, code: str, reason: str) -> None:
    """Each class of the upstream tree has its code and reason, host and sentence stay."""
    translated = errors.from_upstream(error)
    assert (translated.code.name, translated.reason, str(translated)) == (code, reason, "S.")
    assert translated.metadata == {"upstream_host": "h"}
    assert translated.retry_after == error.retry_after


def test_every_upstream_error_is_in_the_table() -> None:
    """A class that is added to the tree without a row fails here."""
    for kind in upstream.UpstreamError.__subclasses__():
        errors.from_upstream(kind("h", "S."))


def test_what_nobody_expected_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets an incident number, the log the whole of it."""
    error = translate("/x/Y", KeyError("secret detail"))
    assert error.code is grpc.StatusCode.INTERNAL
    assert "secret detail" not in str(error)
    assert error.metadata["incident"] in caplog.text
    assert "secret detail" in caplog.text


def test_a_database_that_is_away_is_unavailable() -> None:
    """The same call may succeed in a moment."""
    error = translate("/x/Y", DatabaseUnavailable("The database does not answer."))
    assert (error.code, error.retry_after) == (grpc.StatusCode.UNAVAILABLE, 1)
