"""The last good configuration, kept on disk for a start without the control plane."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from clients.process.place import write_private
from dataplane.config.configuration import Configuration
from dataplane.config.draft import InvalidConfiguration, from_message
from dataplane.config.encode import encode
from dataplane.config.state import ConfigState
from penstock.v1 import config_pb2

_LOG = logging.getLogger(__name__)

# Seconds after which to try again what the disk did not take.
_AGAIN: Final = 15.0


class SavedConfiguration:
    """One file, mode 0600, that is always a whole configuration. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, configuration: Configuration) -> None:
        """Replace what was saved; raises OSError, and what was saved is then still there."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.path, encode(configuration))

    def load(self) -> tuple[Configuration, float] | None:
        """Read what was saved, and when (seconds since the epoch); None where nothing of use was.

        A file that is damaged is as good as none: the control plane will send another.
        """
        try:
            content = self.path.read_bytes()
            saved_at = self.path.stat().st_mtime
            return from_message(config_pb2.Configuration.FromString(content)), saved_at
        except FileNotFoundError:
            return None
        except (OSError, DecodeError, InvalidConfiguration) as error:
            _LOG.warning("The saved configuration %s is of no use: %s", self.path, error)
            return None


async def keep_saved(
    state: ConfigState,
    saved: SavedConfiguration,
    post: Callable[[Configuration], Awaitable[None]] | None = None,
) -> None:
    """Save what is in force whenever that is another one, until cancelled, and `post` it before."""
    newest = state.configuration
    failed = False
    while True:
        configuration = state.configuration
        if configuration is None or (configuration is newest and not failed):
            await state.changed()
            continue
        if post is not None and configuration is not newest:
            await post(configuration)
        newest = configuration
        try:
            await asyncio.to_thread(saved.save, configuration)
        except OSError as error:
            if not failed:
                _LOG.error(
                    "The configuration could not be saved (%s), which is tried again: until then, a restart "
                    "without the control plane would fall back to an older one.",
                    error.strerror or error,
                )
            failed = True
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN):
                    await state.changed()
        else:
            failed = False
