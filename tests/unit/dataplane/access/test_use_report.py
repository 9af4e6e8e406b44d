"""What a node tells of tokens, and tells again."""

import grpc
from grpc.aio import AioRpcError, Metadata

from dataplane.access.use_report import UseReport
from dataplane.access.uses import Uses
from penstock.v1 import node_pb2


class Nodes:
    """A NodeService at the wire: each call is heard, and then meets the next of its faults."""

    def __init__(self, *faults: grpc.StatusCode | None) -> None:
        self._faults = list(faults)
        self.heard: list[node_pb2.ReportUseRequest] = []

    async def ReportUse(self, request: node_pb2.ReportUseRequest, *, timeout: float) -> None:
        assert timeout
        self.heard.append(node_pb2.ReportUseRequest.FromString(request.SerializeToString()))
        fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            raise AioRpcError(fault, Metadata(), Metadata())


def _report(nodes: Nodes, uses: Uses) -> UseReport:
    return UseReport(nodes, uses)  # type: ignore[arg-type]  # as much of the stub as it uses


def _counts(request: node_pb2.ReportUseRequest) -> list[int]:
    return [each.count for each in request.refused_sign_ins]


async def test_what_was_not_answered_is_told_again_as_it_was() -> None:
    """By the same id, so that what was taken all the same counts once; what came since is another report."""
    nodes, uses = Nodes(grpc.StatusCode.DEADLINE_EXCEEDED), Uses()
    report = _report(nodes, uses)
    uses.used("token", "192.0.2.1", 1.0)
    uses.refused("192.0.2.1", "", 1.0)
    await report._report()
    uses.refused("192.0.2.1", "", 2.0)
    uses.refused("192.0.2.1", "", 3.0)
    await report._report()

    first, again, other = nodes.heard
    assert first == again
    assert (_counts(first), _counts(other)) == ([1], [2])
    assert first.report_id != other.report_id
    assert not len(uses)


async def test_a_report_that_is_refused_holds_up_no_other() -> None:
    """It is lost: told again it would be refused again."""
    nodes, uses = Nodes(grpc.StatusCode.INVALID_ARGUMENT), Uses()
    report = _report(nodes, uses)
    uses.refused("192.0.2.1", "", 1.0)
    await report._report()
    uses.refused("192.0.2.2", "", 2.0)
    await report._report()
    assert [each.refused_sign_ins[0].address for each in nodes.heard] == ["192.0.2.1", "192.0.2.2"]


async def test_a_report_that_cannot_be_made_holds_up_no_other() -> None:
    """As of a moment that no timestamp holds: the node goes on, and tells what comes after it."""
    nodes, uses = Nodes(), Uses()
    report = _report(nodes, uses)
    uses.used("one", "192.0.2.1", 1e12)
    await report._report()
    uses.used("two", "192.0.2.1", 1.0)
    await report._report()
    assert [use.token_uid for each in nodes.heard for use in each.token_uses] == ["two"]
