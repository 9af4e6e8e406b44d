"""How the configuration that one worker of a node follows reaches the others, which then change together.

The leading worker says after all that it hears where the node is: a small message, which holds the
change that led there where there was one. Whoever cannot go there by that change looks at the board, which
the leading worker brings up to date behind every change.
"""

import asyncio
import base64
import logging
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import DecodeError

from dataplane.config.board import Board
from dataplane.config.configuration import Configuration
from dataplane.config.draft import InvalidConfiguration, apply, from_message
from dataplane.config.encode import encode
from dataplane.config.saved import SavedConfiguration
from dataplane.config.state import ConfigState
from penstock.v1 import config_pb2

_LOG = logging.getLogger(__name__)

# Bytes of a change above which the board is the shorter way.
_LONGEST_CHANGE: Final = 1 << 20

Message = dict[str, Any]
"""What JSON knows: `revision`, `confirmed_at`, `refusal` once the control plane was heard; `interruption`
always; `change` where one led there."""


def posted(
    board: Board, before: Configuration | None = None, *, again: bool = False
) -> tuple[Configuration, float | None] | None:
    """Read what is on the board, and when it was confirmed; None for nothing of use. Blocks.

    It is of no use where it has the revision that the process ran `before`, unless that is read `again`.
    """
    found = board.read(0 if before is None or again else before.revision)
    if found is None:
        return None
    content, confirmed_at = found
    try:
        message = config_pb2.Configuration.FromString(content)
        return from_message(message, before), confirmed_at or None
    except (DecodeError, InvalidConfiguration):
        _LOG.exception("What another worker of this node posted cannot be used.")
        return None


class Relay:
    """The leading worker's side."""

    def __init__(
        self,
        state: ConfigState,
        board: Board,
        messages: "asyncio.Queue[Message]",
        send: Callable[[Message], None],
    ) -> None:
        """Tell of the state, by `send`, which must not raise; messages have the `revision` of all others."""
        self._state = state
        self._board = board
        self._messages = messages
        self._send = send
        self._heard = False

    async def hear(self) -> None:
        """Note how far the others are, until cancelled."""
        while True:
            self._state.others_run((await self._messages.get())["revision"])

    def posted(self) -> tuple[Configuration, float | None] | None:
        """Give what the leading worker before this one had posted. Blocks."""
        return posted(self._board)

    def tell(self, change: config_pb2.ConfigurationChange | None = None) -> None:
        """Say where the node is, after something was heard; `change` is the one that led there."""
        self._heard = True
        message = self._message()
        if change is not None and change.ByteSize() <= _LONGEST_CHANGE:
            message["change"] = base64.b64encode(change.SerializeToString()).decode()
        self._send(message)

    def interrupted(self) -> None:
        """Say that the control plane is not being followed."""
        self._send(self._message())

    async def post(self, configuration: Configuration) -> None:
        """Bring the board up to date, and say so."""
        try:
            await asyncio.to_thread(self._post, configuration)
        except OSError:
            _LOG.exception("Other workers of this node may stay behind: they cannot be given the whole.")
        self._send(self._message())

    def _post(self, configuration: Configuration) -> None:
        content = encode(configuration)
        self._board.post(configuration.revision, self._state.confirmed_at or 0.0, content)

    def _message(self) -> Message:
        state = self._state
        message: Message = {"interruption": state.interruption}
        # What this process started with may be older than what others have got from its predecessor.
        if self._heard:
            message |= {
                "revision": state.revision,
                "confirmed_at": state.confirmed_at,
                "refusal": state.refusal,
            }
        return message


class ConfigFollow:
    """The side of every other worker: keeps its ConfigState where the leading worker says the node is."""

    def __init__(
        self,
        state: ConfigState,
        board: Board,
        saved: SavedConfiguration,
        messages: "asyncio.Queue[Message]",
        send: Callable[[Message], None],
    ) -> None:
        """Follow the messages; `send` is told each `revision` that is in force, and must not raise."""
        self._state = state
        self._board = board
        self._saved = saved
        self._messages = messages
        self._send = send
        # Another version of this node may have saved it, without what that did not understand: what the
        # control plane has under the same revision may be more.
        self._is_from_disk = False

    async def start_from_saved(self) -> None:
        """Put what the node runs in force, or else what it ran last, if there is one."""
        found = await asyncio.to_thread(posted, self._board)
        if found is None:
            found = await asyncio.to_thread(self._saved.load)
            self._is_from_disk = True
        if found is not None:
            self._state.take(*found)

    async def run(self) -> None:
        """Follow until cancelled."""
        self._send({"revision": self._state.revision})
        while True:
            message = await self._messages.get()
            before = self._state.revision
            await self._receive(message)
            if self._state.revision != before:
                self._send({"revision": self._state.revision})

    async def _receive(self, message: Message) -> None:
        state = self._state
        if "revision" in message:
            await self._go_to(message["revision"], message.get("change", ""))
            if state.revision == message["revision"] and message["confirmed_at"] is not None:
                state.confirm(message["confirmed_at"])
            if message["refusal"] != state.refusal:
                state.refuse(message["refusal"])
        if message["interruption"]:
            state.interrupt(message["interruption"])
        elif state.interruption:
            state.follow()

    async def _go_to(self, revision: int, change: str) -> None:
        state = self._state
        if change and state.configuration is not None:
            changed = await asyncio.to_thread(_changed, state.configuration, change)
            if changed is not None:
                state.take(changed)
        behind = state.revision != revision
        if behind or self._is_from_disk:
            found = await asyncio.to_thread(
                posted, self._board, state.configuration, again=self._is_from_disk
            )
            if found is not None and (behind or found[0].revision == revision):
                state.take(*found)
                self._is_from_disk = False


def _changed(current: Configuration, encoded: str) -> Configuration | None:
    change = config_pb2.ConfigurationChange.FromString(base64.b64decode(encoded))
    if change.from_revision != current.revision:
        return None
    try:
        return apply(current, change)
    except InvalidConfiguration:
        # The leading worker could: the board will have it.
        _LOG.exception("A change that another worker of this node took cannot be taken here.")
        return None
