"""Errors of gRPC, translated once."""

import grpc
import grpc.aio
import pytest

from clients.control import errors
from clients.control.errors import ControlError, Violation, translate, translated
from penstock.v1.user_pb2 import GetUserRequest
from tests.fakes.scripted_api import Refusal


async def refused(api, control, refusal: Refusal) -> ControlError:
    """What the client raises for this refusal."""
    api.answer("GetUser", refusal)
    with pytest.raises(ControlError) as error, translated():
        await control.users.GetUser(GetUserRequest())
    return error.value


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.Unavailable),
        (grpc.StatusCode.UNAUTHENTICATED, errors.Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, errors.PermissionDenied),
        (grpc.StatusCode.NOT_FOUND, errors.NotFound),
        (grpc.StatusCode.ALREADY_EXISTS, errors.AlreadyExists),
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidArgument),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.FailedPrecondition),
        (grpc.StatusCode.ABORTED, errors.Aborted),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ResourceExhausted),
        (grpc.StatusCode.INTERNAL, ControlError),
    ],
)
async def test_each_status_has_its_class(api, control, code, kind):
    """The class, the status, the server's sentence and its reason."""
    error = await refused(api, control, Refusal(code, "It is so.", "SO_IT_IS"))
    assert type(error) is kind
    assert (error.code, str(error), error.reason) == (code, "It is so.", "SO_IT_IS")
    assert error.metadata == {"kind": "test"}
    assert isinstance(error.__cause__, grpc.aio.AioRpcError)


async def test_details(api, control):
    """All violations, and the seconds to wait."""
    refusal = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        "Wrong.",
        "INVALID_REQUEST",
        violations=[("user.email", "no e-mail address"), ("user.role", "no role")],
        retry_after=7,
    )
    error = await refused(api, control, refusal)
    assert error.violations == (
        Violation("user.email", "no e-mail address"),
        Violation("user.role", "no role"),
    )
    assert error.retry_after == 7.0


async def test_a_server_that_cannot_answer_is_not_unreachable(api, control):
    """An upstream that is down is told apart from a control plane that is."""
    told = await refused(api, control, Refusal(grpc.StatusCode.UNAVAILABLE, "x", "UPSTREAM_UNAVAILABLE"))
    assert not isinstance(told, errors.Unreachable)
    untold = await refused(api, control, Refusal(grpc.StatusCode.UNAVAILABLE, "x"))
    assert isinstance(untold, errors.Unreachable)
    assert (untold.reason, untold.metadata, untold.violations, untold.retry_after) == ("", {}, (), None)


def test_details_that_are_damaged():
    """Status and sentence are still true."""
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff"))
    error = translate(grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), metadata, "No."))
    assert isinstance(error, errors.NotFound)
    assert str(error) == "No."


def test_no_sentence():
    """Then the status has to do."""
    error = translate(
        grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata())
    )
    assert "INTERNAL" in str(error)


def test_other_errors_pass():
    """Only gRPC's own are translated."""
    with pytest.raises(KeyError), translated():
        raise KeyError("x")
