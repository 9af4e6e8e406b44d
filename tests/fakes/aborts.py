"""How a fake service refuses: with the details that clients of the real one are given."""

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2


@dataclass(frozen=True)
class Fault:
    """What a method answers instead; without a reason, as a broken transport would."""

    code: grpc.StatusCode
    reason: str = ""
    sentence: str = "scripted"
    retry_after: float | None = None


async def abort(context: Any, fault: Fault) -> None:
    """End a call so; raises."""
    if not fault.reason:
        await context.abort(fault.code, fault.sentence)
    details = [error_details_pb2.ErrorInfo(reason=fault.reason, domain="penstock.dev")]
    if fault.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(fault.retry_after * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=fault.code.value[0], message=fault.sentence)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(fault.code, fault.sentence, trailing_metadata=trailing)
