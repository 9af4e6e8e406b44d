"""Follows the configuration: validates what comes, puts it in force, saves it, and reports back."""

import asyncio
import logging
import random
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from clients.control.errors import ControlError, Unauthenticated, Unreachable, translated
from dataplane.config.configuration import Configuration
from dataplane.config.draft import InvalidConfiguration, apply, from_message
from dataplane.config.pieces import BrokenPieces, whole
from dataplane.config.relay import Relay
from dataplane.config.saved import SavedConfiguration, keep_saved
from dataplane.config.state import ConfigState
from penstock.v1 import node_pb2
from penstock.v1.node_pb2_grpc import NodeServiceStub

_LOG = logging.getLogger(__name__)

# The control plane sends a heartbeat every five seconds.
_SILENCE: Final = 20.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_REPORT_INTERVAL: Final = 30.0
_REPORT_TIMEOUT: Final = 10.0


class _StreamEnded(Exception):
    """The stream is of no more use, and a new one will be; `str()` says why."""


async def _undiagnosed() -> str:
    return ""


class ConfigWatch:
    """Keeps a ConfigState up to date. A stream that breaks changes nothing: what is in force stays.

    With a `relay`, the other workers of the node are told of everything. `diagnose` is asked for a sentence
    when the control plane cannot be reached. `silence` is in seconds: a stream
    that is quiet for longer is taken to be dead.
    """

    def __init__(
        self,
        nodes: NodeServiceStub,
        state: ConfigState,
        saved: SavedConfiguration,
        version: str,
        *,
        relay: Relay | None = None,
        diagnose: Callable[[], Awaitable[str]] = _undiagnosed,
        silence: float = _SILENCE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._nodes = nodes
        self._state = state
        self._saved = saved
        self._version = version
        self._relay = relay
        self._diagnose = diagnose
        self._silence = silence
        self._sleep = sleep
        self._told = ("", "")
        self._refused = 0
        # Seconds before the next try.
        self._pause = _FIRST_PAUSE

    async def start_from_saved(self) -> None:
        """Put in force what another worker left, or else the saved configuration, if there is one."""
        loaded = None if self._relay is None else await asyncio.to_thread(self._relay.posted)
        loaded = loaded or await asyncio.to_thread(self._saved.load)
        if loaded is not None:
            configuration, saved_at = loaded
            self._state.take(configuration, saved_at)
            _LOG.info("Starting with the saved configuration, revision %d.", configuration.revision)

    async def run(self) -> None:
        """Follow, save and report until cancelled."""
        post = None if self._relay is None else self._relay.post
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="config-follow")
            tasks.create_task(keep_saved(self._state, self._saved, post), name="config-save")
            tasks.create_task(self._report(), name="config-report")
            if self._relay is not None:
                tasks.create_task(self._relay.hear(), name="config-others")

    async def _follow(self) -> None:
        while True:
            try:
                await self._follow_once()
            except Exception:  # noqa: BLE001 - a mistake here must not end what is in force
                _LOG.exception("The configuration is not being followed, through a mistake in Penstock.")
                self._tell_interruption("This node failed to follow it; its log says why")
            pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
            await self._sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads nodes, guards nothing

    async def _follow_once(self) -> None:
        try:
            with translated():
                await self._read_stream()
        except (ControlError, _StreamEnded) as error:
            self._state.interrupt(str(error))
            # gRPC says little of what TLS was refused for.
            why = await self._diagnose() if isinstance(error, Unreachable) else ""
            self._interrupted(error, why.rstrip("."))

    async def _read_stream(self) -> None:
        call = self._nodes.WatchConfig(node_pb2.WatchConfigRequest(revision=self._state.revision))
        messages = self._heard(call)
        try:
            while True:
                message = await whole(messages)
                await self._receive(message)
                self._connected()
                self._tell(message)
        except BrokenPieces as error:
            raise _StreamEnded(str(error)) from None
        finally:
            call.cancel()

    async def _heard(
        self, call: AsyncIterable[node_pb2.WatchConfigResponse]
    ) -> AsyncIterator[node_pb2.WatchConfigResponse]:
        messages = aiter(call)
        while True:
            try:
                async with asyncio.timeout(self._silence):
                    message = await anext(messages)
            except TimeoutError:
                raise _StreamEnded(f"nothing was heard for {self._silence:g} s") from None
            except StopAsyncIteration:
                raise _StreamEnded("the control plane ended the stream") from None
            yield message

    async def _receive(self, message: node_pb2.WatchConfigResponse) -> None:
        current = self._state.configuration
        match message.WhichOneof("event"):
            case "snapshot":
                await self._try(message.snapshot.revision, partial(from_message, message.snapshot, current))
            case "change":
                if current is None or message.change.from_revision != current.revision:
                    raise _StreamEnded("a change was for another revision than this node runs")
                await self._try(message.change.to_revision, partial(apply, current, message.change))
            case "heartbeat" if message.heartbeat.revision == self._state.revision:
                self._state.confirm()
            case "heartbeat" if message.heartbeat.revision != self._refused:
                raise _StreamEnded("the control plane is at another revision")
            case _:
                # Something of a newer control plane changes nothing of what is in force.
                pass

    async def _try(self, revision: int, make: Callable[[], Configuration]) -> None:
        try:
            # In a thread: a hundred thousand entries take long enough to be felt by transfers.
            configuration = await asyncio.to_thread(make)
        except InvalidConfiguration as error:
            self._refuse(revision, str(error))
        except Exception:  # noqa: BLE001 - what is in force must not end by what comes next
            if revision != self._refused:
                _LOG.exception("Revision %d cannot be read.", revision)
            self._refuse(revision, "This node failed to read it; its log says why.")
        else:
            if revision != self._state.revision:
                _LOG.info("Configuration revision %d is in force.", revision)
            self._say_passed_over(configuration)
            self._state.take(configuration)

    def _say_passed_over(self, configuration: Configuration) -> None:
        current = self._state.configuration
        sentences = configuration.passed_over
        if sentences and (current is None or sentences != current.passed_over):
            _LOG.warning(
                "Revision %d is in force without what this version does not understand, of %d entries; "
                "update this node. The last one: %s",
                configuration.revision,
                len(sentences),
                list(sentences.values())[-1],
            )

    def _refuse(self, revision: int, cause: str) -> None:
        reason = f"Revision {revision} is refused: {cause}"
        if reason != self._state.refusal:
            _LOG.error("%s", reason)
        self._refused = revision
        self._state.refuse(reason)

    def _connected(self) -> None:
        if self._state.interruption:
            self._state.follow()
            self._told = ("", "")
            self._pause = _FIRST_PAUSE
            _LOG.info("Following the control plane's configuration.")

    def _tell(self, message: node_pb2.WatchConfigResponse) -> None:
        if self._relay is not None:
            taken = message.HasField("change") and message.change.to_revision == self._state.revision
            self._relay.tell(message.change if taken else None)

    def _interrupted(self, error: ControlError | _StreamEnded, why: str) -> None:
        self._tell_interruption(why or str(error))
        # Said once for each reason, and not at every try.
        if self._told == (type(error).__name__, why):
            return
        self._told = (type(error).__name__, why)
        going_on = (
            f"this node goes on with revision {self._state.revision}"
            if self._state.configuration
            else "this node cannot serve until it has one"
        )
        if isinstance(error, Unauthenticated):
            _LOG.error("The control plane refuses this node's token (%s); %s.", error, going_on)
        else:
            _LOG.warning("The configuration is not being followed (%s); %s.", why or error, going_on)

    def _tell_interruption(self, reason: str) -> None:
        self._state.interrupt(reason)
        if self._relay is not None:
            self._relay.interrupted()

    async def _report(self) -> None:
        reported: node_pb2.ReportStatusRequest | None = None
        while True:
            status = self._status()
            if self._state.interruption:
                reported = None
            elif status != reported:
                reported = status if await self._report_once(status) else None
            if status == self._status():
                try:
                    async with asyncio.timeout(_REPORT_INTERVAL):
                        await self._state.changed()
                except TimeoutError:
                    reported = None

    def _status(self) -> node_pb2.ReportStatusRequest:
        count, sentence = self._state.passed_over
        return node_pb2.ReportStatusRequest(
            revision=self._state.node_revision,
            config_error=self._state.refusal,
            version=self._version,
            passed_over_count=count,
            passed_over=sentence,
        )

    async def _report_once(self, status: node_pb2.ReportStatusRequest) -> bool:
        try:
            with translated():
                await self._nodes.ReportStatus(status, timeout=_REPORT_TIMEOUT)
        except ControlError as error:
            # It is reported again; that the control plane is away is told where it is followed.
            _LOG.debug("The status could not be reported: %s", error)
            return False
        return True
