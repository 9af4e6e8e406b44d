"""Tells the control plane now and then which tokens are used, and which sign-ins were refused."""

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from clients.control.errors import ControlError, InvalidArgument, translated
from dataplane.access.uses import Refused, Use, Uses
from penstock.v1 import node_pb2
from penstock.v1.node_pb2_grpc import NodeServiceStub

_LOG = logging.getLogger(__name__)

_INTERVAL: Final = 30.0
_TIMEOUT: Final = 10.0
# Of a process that is to end.
_LAST_TIMEOUT: Final = 1.0
# The API's limit for each list of a request.
_LIMIT: Final = 1000


class UseReport:
    """Reports what `uses` gathers, every half minute; what the control plane did not take is told later.

    A report without an answer may have been taken: it is sent again as it was, by its id.
    """

    def __init__(
        self,
        nodes: NodeServiceStub,
        uses: Uses,
        interval: float = _INTERVAL,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; `interval` is in seconds."""
        self._nodes = nodes
        self._uses = uses
        self._interval = interval
        self._sleep = sleep
        self._unanswered: node_pb2.ReportUseRequest | None = None

    async def run(self) -> None:
        """Report until cancelled, and then once more."""
        try:
            while True:
                # Spread, so that a hundred nodes that were started together do not report together.
                await self._sleep(self._interval * random.uniform(0.8, 1.2))  # noqa: S311 - guards nothing
                await self._report()
        finally:
            await self._report(_LAST_TIMEOUT)

    async def _report(self, timeout: float = _TIMEOUT) -> None:
        try:
            await self._report_all(timeout)
        except Exception:  # noqa: BLE001 - a node must not end of it, nor another report wait for this one
            _LOG.exception("A report of the use of tokens could not be made, and is lost.")
            self._unanswered = None

    async def _report_all(self, timeout: float) -> None:
        while self._unanswered is not None or len(self._uses):
            if self._unanswered is None:
                self._unanswered = _request(*self._uses.take(_LIMIT))
            try:
                with translated():
                    await self._nodes.ReportUse(self._unanswered, timeout=timeout)
            except InvalidArgument as error:
                _LOG.error(
                    "The control plane refuses a report of the use of tokens, which is lost: %s", error
                )
            except ControlError as error:
                # That the control plane is away is told where its configuration is followed.
                _LOG.debug("The use of tokens could not be reported: %s", error)
                return
            self._unanswered = None


def _request(used: list[Use], refused: list[Refused]) -> node_pb2.ReportUseRequest:
    return node_pb2.ReportUseRequest(
        report_id=secrets.token_hex(16),
        token_uses=[
            node_pb2.ReportUseRequest.TokenUse(
                token_uid=use.token_uid, time=_timestamp(use.at), address=use.address
            )
            for use in used
        ],
        refused_sign_ins=[
            node_pb2.ReportUseRequest.RefusedSignIns(
                address=each.address,
                token_uid=each.token_uid,
                count=each.count,
                last_time=_timestamp(each.last_at),
                organization_uid=each.organization_uid,
            )
            for each in refused
        ],
    )


def _timestamp(moment: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(round(moment * 1e6))
    return stamp
