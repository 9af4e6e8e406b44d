"""Folds requests into commands: the rules are in docs/analytics.md, with what each client sends."""

import secrets
from collections.abc import Callable, Iterable
from typing import Final

from dataplane.events.command import Command, Part
from dataplane.events.event import Event
from dataplane.events.known import Known
from dataplane.events.records import Client, Kind, Record, short
from dataplane.events.requests import AGAIN

WINDOW: Final = 10.0
"""Seconds without a request after which a command has ended."""

# The same for one that was cut in mid-transfer: clients try again, after longer pauses each time.
_PATIENCE: Final = 60.0
_LONGEST: Final = 86400.0
# Commands at once: in all, and of one client and artifact. The oldest are ended early.
_MOST: Final = 20_000
_MOST_OF_ONE: Final = 100
# Digests that all of them keep: some 30 MiB.
_MOST_NAMES: Final = 200_000

_Key = tuple[Client, str]


class Fold:
    """The commands that are under way at one node; is given records in the order of their times."""

    def __init__(
        self,
        window: float = WINDOW,
        make_id: Callable[[], str] = lambda: secrets.token_hex(16),
        most: int = _MOST,
        most_names: int = _MOST_NAMES,
    ) -> None:
        self._window = window
        self._make_id = make_id
        self._most = most
        self._most_names = most_names
        # By who asks, and with what program.
        self._open: dict[_Key, list[Command]] = {}
        self._count = 0
        # Digests that each of them keeps, and all.
        self._sizes: dict[str, int] = {}
        self._names = 0
        self._known = Known()
        self._changed: dict[str, Command] = {}
        self._early: list[Command] = []

    def take(self, record: Record) -> None:
        """Fold a record in."""
        kind = record.kind
        # What there is most of comes first.
        if kind is Kind.SENT or kind is Kind.BEGIN:
            blob = short(record.digest)
            command = self._asked(record, blob)
            if command is not None:
                command.begin(record, blob)
                if kind is Kind.SENT:
                    command.end(record, blob)
                self._touch(command, record)
        elif kind is Kind.RUN or kind is Kind.END:
            blob = short(record.digest)
            command = self._under_way(record, blob)
            if command is not None:
                if kind is Kind.END:
                    command.end(record, blob)
                self._touch(command, record)
        else:
            self._known.learn(record)
            self._touch(self._looked(record) if kind is Kind.LOOK else self._got(record), record)
        while self._names > self._most_names and self._open:
            self._end_early(next(iter(self._open)))

    def changed(self) -> list[Command]:
        """Give the commands that changed since the last call, and are still open."""
        changed, self._changed = list(self._changed.values()), {}
        return changed

    def open(self) -> list[Command]:
        """Give all commands that are open."""
        return [command for commands in self._open.values() for command in commands]

    def restore(self, commands: Iterable[Command]) -> None:
        """Go on with commands that a process before this one had open."""
        for command in commands:
            self._add(command)

    def shift(self, seconds: float) -> None:
        """Move the commands that are open by what the clock was set."""
        for command in self.open():
            command.shift(seconds)
            self._changed[command.id] = command

    def ended(self, now: float) -> list[Event]:
        """Give what ended, and forget it."""
        ended, self._early = self._early, []
        for key, commands in list(self._open.items()):
            left = [command for command in commands if not self._is_over(command, now)]
            if len(left) < len(commands):
                ended += (command for command in commands if self._is_over(command, now))
                self._count -= len(commands) - len(left)
                if left:
                    self._open[key] = left
                else:
                    del self._open[key]
        for command in ended:
            self._changed.pop(command.id, None)
            self._names -= self._sizes.pop(command.id, 0)
        return [command.event() for command in ended]

    def end(self) -> list[Event]:
        """End everything."""
        return self.ended(float("inf"))

    def _looked(self, record: Record) -> Command:
        for command in self._recent(record):
            if record.digest == command.digest and record.tag == command.tag and not command.used:
                return command
            # Whoever has just got it, or its index, looks again.
            if record.at - command.got < AGAIN and record.digest in (command.digest, *command.children):
                return command
        return self._new(record)

    def _got(self, record: Record) -> Command:
        command = self._of_reference(record) or self._of_child(record) or self._new(record)
        command.bytes += record.bytes
        command.learn(record.outline)
        if record.digest == command.digest:
            command.got = record.last
        else:
            command.taken[record.digest] = record.last
        return command

    def _of_reference(self, record: Record) -> Command | None:
        for command in self._recent(record):
            if record.digest != command.digest or record.tag not in ("", command.tag):
                continue
            if not command.used:
                return command
            again = record.at - command.got < AGAIN and record.at - command.began < self._window
            if again and record.tag == command.tag:
                return command
        return None

    def _of_child(self, record: Record) -> Command | None:
        if record.tag:
            return None
        candidates = [command for command in self._recent(record) if record.digest in command.children]
        for command in candidates:
            if record.digest not in command.taken or record.at - command.taken[record.digest] < AGAIN:
                return command
        return None

    def _asked(self, record: Record, blob: str) -> Command | None:
        holders = self._known.holders(record.client.artifact_uid, blob)
        for command in self._recent(record):
            # Nobody takes the same blob twice for one pull.
            once = record.part or record.at - command.ends.get(blob, record.at) < AGAIN
            if once and (blob in command.blobs or self._may_hold(command, holders)):
                return command
        if record.part:
            return None
        if holders:
            return self._of_blob(record, holders)
        # What an index names is not known before that was asked for through this node.
        return next((command for command in self._recent(record) if command.children or command.cut), None)

    def _may_hold(self, command: Command, holders: Iterable[str]) -> bool:
        """Whether a blob can be of a manifest that the client has not asked for, as it has it already."""
        if command.guesses:
            holders = [digest for digest in command.guesses if digest in holders]
            if holders:
                self._guess(command, holders)
        else:
            holders = [digest for digest in holders if digest in command.children]
            if len(holders) == 1:
                command.taken.setdefault(holders[0], 0.0)
        for digest in holders[:1]:
            command.learn(self._known.outline(command.client.artifact_uid, digest))
        return bool(holders)

    def _of_blob(self, record: Record, holders: Iterable[str]) -> Command:
        """Begin the command of a client that has all manifests, and did not even look."""
        command = self._new(record)
        self._guess(command, list(holders))
        self._may_hold(command, holders)
        return command

    def _guess(self, command: Command, manifests: list[str]) -> None:
        artifact_uid, manifest = command.client.artifact_uid, manifests[0]
        index = self._known.index(artifact_uid, manifest)
        command.guesses = manifests
        command.digest = index or manifest
        command.children = dict(self._known.outline(artifact_uid, index).children)
        command.taken = {manifest: 0.0} if index else {}

    def _under_way(self, record: Record, blob: str) -> Command | None:
        found = None
        for command in self._recent(record):
            flags = command.blobs.get(blob, Part.NONE)
            if flags & Part.ASKED:
                if not flags & Part.DONE:
                    return command
                found = found or command
        return found

    def _recent(self, record: Record) -> Iterable[Command]:
        return reversed(self._open.get((record.client, record.agent), ()))

    def _new(self, record: Record) -> Command:
        command = Command(
            self._make_id(), record.client, record.agent, record.at, record.last, record.digest, record.tag
        )
        command.learn(record.outline)
        self._add(command)
        return command

    def _add(self, command: Command) -> None:
        key = (command.client, command.agent)
        commands = self._open.setdefault(key, [])
        commands.append(command)
        self._count += 1
        self._weigh(command)
        if len(commands) > _MOST_OF_ONE:
            self._end_early(key)
        elif self._count > self._most:
            self._end_early(next(iter(self._open)))

    def _end_early(self, key: _Key) -> None:
        commands = self._open[key]
        command = commands.pop(0)
        self._early.append(command)
        self._count -= 1
        self._names -= self._sizes.pop(command.id, 0)
        if not commands:
            del self._open[key]

    def _touch(self, command: Command, record: Record) -> None:
        command.touched = max(command.touched, record.last)
        self._changed[command.id] = command
        self._weigh(command)

    def _weigh(self, command: Command) -> None:
        names = command.names
        self._names += names - self._sizes.get(command.id, 0)
        self._sizes[command.id] = names

    def _is_over(self, command: Command, now: float) -> bool:
        if not command.used:
            # However often it is repeated: somebody who looks all the time is seen all the time.
            return now - command.began >= self._window
        quiet = max(self._window, _PATIENCE) if command.unfinished else self._window
        return now - command.touched >= quiet or now - command.began >= _LONGEST
