"""Counts where resolved manifests came from."""

from dataclasses import dataclass


@dataclass(slots=True)
class Lookups:
    """Counters since the start of the process; changed on the event loop only."""

    memory: int = 0
    disk: int = 0
    control_plane: int = 0
    stale: int = 0
    """Served although stale, since the control plane could not be asked."""
