"""What a fake registry does wrong, scripted: which requests, how often, and how."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fault:
    """Changes the answers to matching requests; fields combine, and offsets count bytes of the content."""

    # Which requests: "version", "manifests", "blobs", "tags", "referrers", "token"; "" is any.
    kind: str = ""
    method: str = ""
    # A tag or digest.
    reference: str = ""
    # How many matching requests; None is for ever.
    times: int | None = None

    # Seconds before anything is answered.
    delay: float = 0
    # Closes the connection without an answer, or never answers until the registry stops.
    drop: bool = False
    stall: bool = False
    # Instead of the content.
    status: int | None = None
    body: bytes | None = None
    # Sends the client to the same path at another base URL, or to a URL with a path, with this status.
    redirect: str = ""
    redirect_status: int = 307
    # Added to the answer, or in place of its own; None takes a header out.
    headers: Mapping[str, str | None] = field(default_factory=dict)
    # Ends the connection after the body's first bytes.
    cut_after: int | None = None
    # Stops after the body's first bytes until the gate opens (without one, until the registry stops).
    pause_after: int | None = None
    gate: asyncio.Event | None = None
    # Bytes a second.
    rate: float | None = None
    # Flips the byte at this offset of the content.
    corrupt_at: int | None = None
    # Stated instead of the true length; the connection ends after the body.
    content_length: int | None = None
    # Answers a range request with everything.
    ignore_range: bool = False

    def matches(self, method: str, kind: str, reference: str) -> bool:
        return (
            self.times != 0
            and self.kind in ("", kind)
            and self.method in ("", method)
            and self.reference in ("", reference)
        )

    @property
    def breaks_framing(self) -> bool:
        """Whether the connection must not be used again after the answer."""
        return self.cut_after is not None or self.content_length is not None


class Faults:
    """The script of a fake registry; of several faults that match, the one that was added first happens."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, kind: str = "", **how: Any) -> Fault:
        """Adds a fault, by the fields of Fault: `faults.add("blobs", cut_after=1000, times=3)`."""
        fault = Fault(kind=kind, **how)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()

    def take(self, method: str, kind: str, reference: str) -> Fault:
        """Uses up one time of the first fault that matches; without any, a fault that does nothing."""
        for fault in self._faults:
            if fault.matches(method, kind, reference):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return Fault()
