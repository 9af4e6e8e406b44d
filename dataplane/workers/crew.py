"""One process among those of its node, and how it keeps to one configuration with the others."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from clients.control.client import ControlClient
from clients.oci.digest import Digest
from dataplane.config.board import Board
from dataplane.config.relay import ConfigFollow, Message, Relay
from dataplane.config.saved import SavedConfiguration
from dataplane.config.state import ConfigState
from dataplane.config.watch import ConfigWatch
from dataplane.events.noted import Noted
from dataplane.events.parcels import Parcel, pack
from dataplane.events.records import Record
from dataplane.http.clocks import Clocks
from dataplane.workers.neighbours import Neighbours
from dataplane.workers.share import Share


@dataclass(frozen=True, slots=True)
class Crew:
    """Which process this is, and what its supervisor gives it; the whole node without a board."""

    share: Share = field(default_factory=Share)
    board: Board | None = None
    listening: Sequence[socket.socket] = ()
    """The sockets that the registry is served on, where they are not this process' own."""
    clocks: Clocks | None = None
    """When each client may take more bytes from the node."""
    neighbours: Neighbours | None = None
    """With whom it shares connections evenly."""
    send: Callable[[Message], None] = lambda _: None
    """What it says goes to all others from the leading worker, and to that one from the others."""
    tell_trouble: Callable[[str], None] = lambda _: None
    """Tells all others what is wrong with the disk."""
    tell_resolved: Callable[[str, Digest], None] = lambda *_: None
    """Tells all others of a manifest, by its artifact's uid, whose blobs are about to be asked for."""
    received: "asyncio.Queue[Message]" = field(default_factory=asyncio.Queue)
    """What others said."""
    hand_over: Callable[[Parcel], bool] = lambda _: False
    """Gives the leading worker what was noted of requests; False where it cannot."""
    noted: Noted = field(default_factory=Noted)
    """What the leading worker has got so, and how much any has lost."""
    alone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set in the leading worker when the others have ended, and nothing more will come."""

    def note(self, records: list[Record]) -> None:
        """Bring records to the one process of the node that folds them."""
        if self.share.leads:
            self.noted.put(records)
            return
        for parcel in pack(records):
            if not self.hand_over(parcel):
                self.noted.lost += parcel.size

    def watch(
        self, control: ControlClient, state: ConfigState, saved: SavedConfiguration, version: str
    ) -> ConfigWatch | ConfigFollow:
        """Make what keeps this process' configuration up to date: one of the crew asks the control plane."""
        if self.board is None:
            return ConfigWatch(control.nodes, state, saved, version, diagnose=control.diagnose)
        if self.share.leads:
            relay = Relay(state, self.board, self.received, self.send)
            return ConfigWatch(control.nodes, state, saved, version, relay=relay, diagnose=control.diagnose)
        return ConfigFollow(state, self.board, saved, self.received, self.send)
