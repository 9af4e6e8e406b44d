"""Events on disk until the control plane has them: append-only files, bounded, each deleted as a whole.

A line holds an event, or the state of a command that is still open; of several with one id the last counts.
Nothing is forced to the disk: what is written survives the process, not a power failure. A file is replaced
by the next one when it is about to be sent; what is open is then written again, so that files can be sent
and deleted from the first to the last.
"""

import json
import logging
import os
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clients.process.descriptors import is_shortage
from dataplane.events.command import Command
from dataplane.events.event import Event

_LOG = logging.getLogger(__name__)

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
_SUFFIX: Final = ".events"
# The limit, divided: what is dropped at once when it is reached.
_PARTS: Final = 16
_LEAST: Final = 16 << 10
_LARGEST: Final = 1 << 20
# Events that the disk does not take, kept in memory.
_MOST_UNWRITTEN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Sealed:
    """Events that can be sent, and are then to be dropped."""

    path: Path | None
    """None for those that the disk did not take."""
    events: Sequence[Event]


class Journal:
    """Keeps events in a folder. Its methods block, and are called one at a time."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._part = min(_LARGEST, max(_LEAST, max_bytes // _PARTS))
        # All files by number, with their bytes and events; the last one is being written, where there is one.
        self._files: dict[int, list[int]] = {}
        self._descriptor: int | None = None
        self._next = 1
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
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        states: dict[str, dict[str, Any]] = {}
        for number in self._numbers():
            events, lines = 0, []
            # Of one that cannot be opened now, the events are read when they are to be sent.
            with suppress(OSError):
                lines = self._read(self._path(number))
            for line in lines:
                if line is None:
                    self.lost += 1
                elif "open" in line:
                    states[line["id"]] = line["open"]
                    self._states[line["id"]] = number
                else:
                    states.pop(line["id"], None)
                    events += 1
            self._files[number] = [self._size_of(number), events]
            self._next = number + 1
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
        while True:
            number = next(iter(self._files), None)
            if number is None:
                break
            if self._descriptor is not None and len(self._files) == 1:
                if not self._files[number][1] and self._files[number][0] < self._part:
                    break
                self._close()
            # States that would go with this file.
            self._append([one for one in still_open if self._states.get(one.id, number) <= number], ())
            events = self._events(number)
            if events:
                return Sealed(self._path(number), events)
            self._remove(number)
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
        if sealed.path is not None:
            self._remove(int(sealed.path.stem))

    def close(self) -> None:
        """Let go of the file."""
        self._close()

    @property
    def events(self) -> int:
        """Events that wait to be sent."""
        given = self._given
        out = len(given.events) if given is not None and given.path is None else 0
        return sum(events for _, events in self._files.values()) + len(self._unwritten) + out

    @property
    def size(self) -> int:
        """Bytes that the files take."""
        return sum(size for size, _ in self._files.values())

    def _append(self, states: Sequence[Command], events: Sequence[Event]) -> bool:
        if not states and not events:
            return True
        lines = [_state(command) for command in states] + [event.encode() for event in events]
        data = "".join(f"{line}\n" for line in lines).encode()
        try:
            if self._descriptor is not None and self._files[self._last][0] >= self._part:
                self._close()
            if self._descriptor is None:
                self._begin()
            self._write(data)
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
        self._files[self._last][0] += len(data)
        self._files[self._last][1] += len(events)
        self._states |= dict.fromkeys((command.id for command in states), self._last)
        return True

    def _begin(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path(self._next), flags, 0o600)
        self._files[self._next] = [0, 0]
        self._next += 1

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None  # noqa: S101 - just begun
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            # Half a line would spoil the next one.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._files[self._last][0])
            raise

    @property
    def _last(self) -> int:
        return next(reversed(self._files))

    def _bound(self) -> None:
        while self.size > self._max_bytes and len(self._files) > 1:
            number = next(iter(self._files))
            if self._given is not None and self._given.path == self._path(number):
                self._at_stake = self._files[number][1]
            else:
                self.lost += self._files[number][1]
            self._remove(number)
        while len(self._unwritten) > _MOST_UNWRITTEN:
            self._unwritten.popleft()
            self.lost += 1

    def _take_back(self) -> None:
        """Keep what was given and not dropped, as far as there is room."""
        given, self._given = self._given, None
        self.lost += self._at_stake
        self._at_stake = 0
        if given is not None and given.path is None:
            self._unwritten.extendleft(reversed(given.events))
            self._bound()

    def _remove(self, number: int) -> None:
        with suppress(OSError):
            self._path(number).unlink(missing_ok=True)
        if self._files.pop(number, None) is not None and not self._files:
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _size_of(self, number: int) -> int:
        try:
            return self._path(number).stat().st_size
        except OSError:
            return 0

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012}{_SUFFIX}"

    def _numbers(self) -> list[int]:
        try:
            paths = list(self._folder.glob(f"*{_SUFFIX}"))
        except OSError:
            return []
        return sorted(int(path.stem) for path in paths if path.stem.isdecimal())

    def _events(self, number: int) -> list[Event]:
        """Read the events of a file; what is missing of them is counted as lost, once."""
        lines = self._read(self._path(number))
        found = [event for line in lines if line and "open" not in line and (event := _event(line))]
        counted = self._files[number]
        self.lost += max(0, counted[1] - len(found))
        counted[1] = len(found)
        return found

    def _read(self, path: Path) -> list[dict[str, Any] | None]:
        """Give the lines of a file, None for each that is spoiled; raises OSError without a descriptor."""
        try:
            text = path.read_text(errors="replace")
        except OSError as error:
            if is_shortage(error):
                raise
            return []
        return [_line(line) for line in text.split("\n") if line]


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
