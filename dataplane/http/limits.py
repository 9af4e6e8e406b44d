"""What a server lets its clients have and take, and how often that mattered."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one server; times are in seconds."""

    connections: int = 10_000
    """Open at once; further ones are told to come back, and closed."""
    idle: float = 75.0
    """Between two requests on a connection, and before the first."""
    header: float = 30.0
    """From the first byte of a request that is not there at once to the end of its headers."""
    body: float = 60.0
    """To the end of a request's body."""
    stall: float = 120.0
    """That a client may take nothing of what is sent to it."""


@dataclass(slots=True)
class Hits:
    """How often each limit was reached, since the start of the process."""

    connections: int = 0
    idle: int = 0
    stall: int = 0
    slow_header: int = 0
    large_header: int = 0
    proxy_header: int = 0
    token_transfers: int = 0
    address_transfers: int = 0
    node_transfers: int = 0
    token_rate: int = 0
    address_rate: int = 0
    node_rate: int = 0
