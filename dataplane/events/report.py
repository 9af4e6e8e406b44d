"""Gives events to the control plane."""

import logging
import random
from collections.abc import Sequence
from typing import Final

from clients.control.errors import ControlError, InvalidArgument, translated
from dataplane.events.event import Event
from penstock.v1 import node_pb2
from penstock.v1.node_pb2_grpc import NodeServiceStub

_LOG = logging.getLogger(__name__)

_BATCH: Final = 500
_TIMEOUT: Final = 30.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0


class Report:
    """Calls RecordPulls."""

    def __init__(self, nodes: NodeServiceStub) -> None:
        self._nodes = nodes
        self._pause = 0.0
        self.stored = 0
        """Events that the control plane has taken."""
        self.refused = 0
        """Events that it does not take at all, which are given up."""

    async def send(self, events: Sequence[Event]) -> float:
        """Send events; gives 0, or the seconds after which all of them are to be sent again."""
        stored = refused = 0
        for batch in _batches(events):
            request = node_pb2.RecordPullsRequest(events=[event.message() for event in batch])
            try:
                with translated():
                    await self._nodes.RecordPulls(request, timeout=_TIMEOUT)
            except InvalidArgument as error:
                _LOG.error("The control plane refuses %d pull events, which are lost: %s", len(batch), error)
                refused += len(batch)
            except ControlError as error:
                return self._later(error)
            else:
                stored += len(batch)
        # Not before: after a failure all of them are sent again.
        self.stored += stored
        self.refused += refused
        if self._pause:
            _LOG.info("Pull events are reported again.")
        self._pause = 0.0
        return 0.0

    def _later(self, error: ControlError) -> float:
        if not self._pause:
            _LOG.warning("Pull events wait on this node's disk: %s", error)
        self._pause = min(max(_FIRST_PAUSE, 2 * self._pause), _LONGEST_PAUSE)
        # So that nodes do not come back all at once.
        return self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - guards nothing


def _batches(events: Sequence[Event]) -> Sequence[Sequence[Event]]:
    return [events[start : start + _BATCH] for start in range(0, len(events), _BATCH)]
