"""Events on disk until the control plane has them: append-only files, bounded, each deleted as a whole.

A line holds an event, or the state of a command that is still open; of several with one id the last counts.
A file is replaced by the next one when it is about to be sent; what is open is then written again, so that
files can be sent and deleted from the first to the last.
"""

import json
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clients.process.descriptors import is_shortage
from dataplane.events.command import Command
from dataplane.events.event import Event
from dataplane.events.segments import Segment, Segments

_LOG = logging.getLogger(__name__)

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
# The limit, divided: what is dropped at once when it is reached.
_PARTS: Final = 16
_LEAST: Final = 16 << 10
_LARGEST: Final = 1 << 20
# Events that the disk does not take, kept in memory.
_MOST_UNWRITTEN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Sealed:
    """Events that can be sent, and are then to be dropped."""

    segment: Segment | None
    """The file that holds them; None for those that the disk did not take."""
    events: Sequence[Event]


class Journal:
    """Keeps events in a folder. Its methods block, and are called one at a time."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segments = Segments(folder, min(_LARGEST, max(_LEAST, max_bytes // _PARTS)))
        # Which file has the last state of a command that is open.
        self._states: dict[str, int] = {}
        self._unwritten: deque[Event] = deque()
        # What was given to be sent, and how many events had to go meanwhile that it has as well.
        self._given: Sealed | None = None
        self._at_stake = 0
        self._troubled = False
        self.lost = 0
        """Events that were dropped, or could not be read again."""

    def load(self) -> list[Command]:
        """Find what a process before this one left; gives the commands that it had open."""
        states: dict[str, dict[str, Any]] = {}
        for segment in self._segments.find():
            lines: list[dict[str, Any] | None] = []
            # Of one that cannot be opened now, the events are read when they are to be sent.
            with suppress(OSError):
                lines = self._read(segment)
            for line in lines:
                if line is None:
                    self.lost += 1
                elif "open" in line:
                    states[line["id"]] = line["open"]
                    self._states[line["id"]] = segment.number
                else:
                    states.pop(line["id"], None)
                    segment.events += 1
        return [command for state in states.values() if (command := _command(state)) is not None]

    def write(self, changed: Iterable[Command], ended: Iterable[Event]) -> None:
        """Append states and events."""
        events = list(ended)
        for event in events:
            self._states.pop(event.id, None)
        if not self._append(list(changed), events):
            self._unwritten.extend(events)
        self._bound()

    def seal(self, still_open: Sequence[Command]) -> Sealed | None:
        """Give the oldest events that were not dropped yet; None where none are, or can be read now.

        `still_open` is what has to survive the file that is being written. What was given before and not
        dropped was sent in vain.
        """
        self._take_back()
        try:
            self._given = self._seal(still_open)
        except OSError as error:
            if not is_shortage(error):
                raise
        return self._given

    def _seal(self, still_open: Sequence[Command]) -> Sealed | None:
        while (segment := self._segments.ripe()) is not None:
            number = segment.number
            # States that would go with this file.
            self._append([one for one in still_open if self._states.get(one.id, number) <= number], ())
            events = self._events(segment)
            if events:
                return Sealed(segment, events)
            self._segments.remove(segment)
        if not self._unwritten:
            return None
        # Out of the way of those that come while it is sent.
        sealed = Sealed(None, list(self._unwritten))
        self._unwritten.clear()
        return sealed

    def drop(self, sealed: Sealed) -> None:
        """Forget what was given last, which the control plane has."""
        self._given = None
        self._at_stake = 0
        if sealed.segment is not None:
            self._segments.remove(sealed.segment)

    def close(self) -> None:
        """Let go of the file."""
        self._segments.end()

    @property
    def events(self) -> int:
        """Events that wait to be sent."""
        given = self._given
        out = len(given.events) if given is not None and given.segment is None else 0
        return self._segments.events + len(self._unwritten) + out

    @property
    def size(self) -> int:
        """Bytes that the files take."""
        return self._segments.size

    def _append(self, states: Sequence[Command], events: Sequence[Event]) -> bool:
        if not states and not events:
            return True
        lines = [_state(command) for command in states] + [event.encode() for event in events]
        try:
            number = self._segments.append(lines, len(events))
        except OSError as error:
            if not self._troubled:
                _LOG.error(
                    "Pull events cannot be written to %s (%s); they wait in memory.",
                    self._folder,
                    error.strerror,
                )
            self._troubled = True
            return False
        if self._troubled:
            _LOG.info("Pull events are written to disk again.")
        self._troubled = False
        self._states |= dict.fromkeys((command.id for command in states), number)
        return True

    def _bound(self) -> None:
        while self.size > self._max_bytes and len(self._segments) > 1:
            first = self._segments.first
            if self._given is not None and self._given.segment is first:
                self._at_stake = first.events
            else:
                self.lost += first.events
            self._segments.remove(first)
        while len(self._unwritten) > _MOST_UNWRITTEN:
            self._unwritten.popleft()
            self.lost += 1

    def _take_back(self) -> None:
        """Keep what was given and not dropped, as far as there is room."""
        given, self._given = self._given, None
        self.lost += self._at_stake
        self._at_stake = 0
        if given is not None and given.segment is None:
            self._unwritten.extendleft(reversed(given.events))
            self._bound()

    def _events(self, segment: Segment) -> list[Event]:
        """Read the events of a file; what is missing of them is counted as lost, once."""
        lines = self._read(segment)
        found = [event for line in lines if line and "open" not in line and (event := _event(line))]
        self.lost += max(0, segment.events - len(found))
        segment.events = len(found)
        return found

    def _read(self, segment: Segment) -> list[dict[str, Any] | None]:
        """Give what the lines of a file say, None for each that is spoiled."""
        return [_line(line) for line in self._segments.read(segment)]


def _state(command: Command) -> str:
    return _ENCODER.encode({"id": command.id, "open": command.state()})


def _line(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("id"), str) else None


def _event(line: dict[str, Any]) -> Event | None:
    try:
        event = Event.decode(line)
        # What cannot be said would keep all others from being sent.
        event.message()
    except (TypeError, ValueError, OverflowError):
        return None
    return event


def _command(state: Any) -> Command | None:
    try:
        return Command.restore(state)
    except (LookupError, TypeError, ValueError):
        return None
