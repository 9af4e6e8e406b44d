"""What a node counts of what it reports, and that reporting goes on whatever happens."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from dataplane.events import pulls as pulls_module
from dataplane.events.command import Command
from dataplane.events.event import Event
from dataplane.events.journal import Journal
from dataplane.events.noted import Noted
from dataplane.events.pulls import Pulls
from dataplane.events.records import Client, Kind, Record
from dataplane.events.report import Report
from penstock.v1 import node_pb2

CLIENT = Client("token", "user", "", "organization", "artifact", "10.0.0.1")
EVENT = Command("0" * 32, CLIENT, "docker/20", 1000.0, 1001.0, "sha256:ab", "1.0", 1000.0).event()


class Nodes:
    """A NodeService at the wire: each call meets the next of its faults, and is taken where that is None."""

    def __init__(self, *faults: grpc.StatusCode | Exception | None) -> None:
        self._faults = list(faults)
        self.taken: list[str] = []

    async def RecordPulls(self, request: node_pb2.RecordPullsRequest, *, timeout: float) -> None:
        assert timeout
        match self._faults.pop(0) if self._faults else None:
            case grpc.StatusCode() as code:
                raise AioRpcError(code, Metadata(), Metadata())
            case Exception() as error:
                raise error
        self.taken += [event.id for event in request.events]


def _report(nodes: Nodes) -> Report:
    return Report(nodes)  # type: ignore[arg-type]  # as much of the stub as it uses


def _events(count: int) -> list[Event]:
    return [replace(EVENT, id=f"{number:032x}") for number in range(count)]


async def test_what_is_sent_again_is_counted_once() -> None:
    """A file of four batches, of which one fails the first time: as many stored and refused as there are."""
    nodes = Nodes(None, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE)
    report = _report(nodes)
    assert await report.send(_events(2000)) > 0
    assert (report.stored, report.refused) == (0, 0)
    nodes._faults = [None, grpc.StatusCode.INVALID_ARGUMENT]
    assert await report.send(_events(2000)) == 0
    assert (report.stored, report.refused) == (1500, 500)


def _pulls(tmp_path: Path, nodes: Nodes, noted: Noted, seen: list[Event]) -> Pulls:
    def see(events: Iterable[Event]) -> None:
        seen.extend(events)

    return Pulls(noted, Journal(tmp_path, 1 << 20), _report(nodes), see, window=0.1)


def _pull(tag: str, at: float) -> Record:
    return Record(Kind.GET, at, at, CLIENT, "docker/20", f"sha256:{tag}", tag)


async def test_recording_goes_on_after_what_nobody_foresaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a record that is wrong nor a failure of another kind than those of the API ends it for good."""
    monkeypatch.setattr(pulls_module, "_TROUBLED", 0.0)
    monkeypatch.setattr(pulls_module, "_SEND", 0.1)
    nodes, noted, seen = Nodes(RuntimeError("nobody foresaw this")), Noted(), list[Event]()
    pulls = _pulls(tmp_path, nodes, noted, seen)
    await pulls.start()
    # No time is before or after a text.
    wrong = _pull("wrong", 1.0)._replace(last="")  # type: ignore[arg-type]  # that is the point
    noted.put([wrong, _pull("1.0", 1.0), _pull("2.0", 2.0)])
    async with asyncio.timeout(20):
        while len(nodes.taken) < 2:  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.05)
    await pulls.stop()
    assert {event.tag for event in seen} >= {"1.0", "2.0"}


@pytest.mark.parametrize("moment", [0.19, 0.2, 0.21, 0.22])
async def test_a_stop_in_the_middle_of_a_turn_loses_nothing(tmp_path: Path, moment: float) -> None:
    """What has just ended is written and sent, also when the node is stopped while it is."""
    nodes, noted, seen = Nodes(), Noted(), list[Event]()
    pulls = _pulls(tmp_path, nodes, noted, seen)
    await pulls.start()
    noted.put([_pull(f"{number}.0", 1.0 + number) for number in range(100)])
    await asyncio.sleep(moment)
    await pulls.stop()
    assert len(nodes.taken) == len(set(nodes.taken)) == len(seen) == 100
