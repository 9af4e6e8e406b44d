"""What this node runs now, and how sure it is of it: one object that everybody looks at."""

import asyncio
import time
from collections.abc import Callable

from dataplane.config.configuration import Configuration


class ConfigState:
    """Holds the configuration in force; replaced as a whole, never changed.

    `clock` gives seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._confirmed_at: float | None = None
        self._changed = asyncio.Event()
        self.configuration: Configuration | None = None
        """None until the first one has come."""
        self.refusal = ""
        """Why the newest configuration was refused; empty when it was not."""
        self.interruption = "not connected yet"
        """Why the control plane is not being followed; empty while it is."""
        self.others: int | None = None
        """The oldest revision that another process of this node runs; None without another."""

    @property
    def revision(self) -> int:
        """Revision in force; 0 before the first."""
        return 0 if self.configuration is None else self.configuration.revision

    @property
    def passed_over(self) -> tuple[int, str]:
        """How many entries of what is in force this version does not understand, and a word on the last."""
        sentences = [] if self.configuration is None else list(self.configuration.passed_over.values())
        return len(sentences), sentences[-1] if sentences else ""

    @property
    def node_revision(self) -> int:
        """Revision in force in every process of the node, as far as this one knows."""
        return self.revision if self.others is None else min(self.revision, self.others)

    @property
    def confirmed_at(self) -> float | None:
        """When the control plane last confirmed what is in force, in seconds since the epoch."""
        return self._confirmed_at

    @property
    def age(self) -> float | None:
        """Seconds since the control plane last confirmed what is in force; None before the first."""
        return None if self._confirmed_at is None else max(0.0, self._clock() - self._confirmed_at)

    def take(self, configuration: Configuration, confirmed_at: float | None = None) -> None:
        """Put a configuration in force; `confirmed_at` is in seconds since the epoch, now without it."""
        self.configuration = configuration
        self.refusal = ""
        self._confirmed_at = self._clock() if confirmed_at is None else confirmed_at
        self._notify()

    def confirm(self, confirmed_at: float | None = None) -> None:
        """Note that the control plane has said that what is in force is still right; see `take`."""
        self._confirmed_at = self._clock() if confirmed_at is None else confirmed_at

    def others_run(self, revision: int | None) -> None:
        """Note the oldest revision that the node's other processes run."""
        if revision != self.others:
            self.others = revision
            self._notify()

    def refuse(self, reason: str) -> None:
        """Note why a newer configuration is not in force."""
        self.refusal = reason
        self._notify()

    def follow(self) -> None:
        """Note that the control plane is being followed."""
        self.interruption = ""
        self._notify()

    def interrupt(self, reason: str) -> None:
        """Note why the control plane is not being followed."""
        self.interruption = reason

    async def changed(self) -> None:
        """Wait for the next `take`, `refuse`, `follow` or `others_run`."""
        await self._changed.wait()

    async def first(self) -> Configuration:
        """Wait until there is a configuration."""
        while self.configuration is None:
            await self.changed()
        return self.configuration

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
