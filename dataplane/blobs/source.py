"""Where a blob's bytes come from: one request at a time, each for a part."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Stream(Protocol):
    """The body of one upstream answer."""

    @property
    def offset(self) -> int:
        """Where in the blob the body starts: 0, where a registry ignored the Range that was asked for."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes of the whole blob, as this answer says; None where it does not say."""
        ...

    def chunks(self) -> AsyncGenerator[bytes | memoryview, None]:
        """Give the body as it arrives; breaks a stalled one off. Raises UpstreamError."""
        ...


class Source(Protocol):
    """One blob of one upstream repository, with whatever access to it takes.

    `str()` names the repository in the log, without a secret.
    """

    def open(self, offset: int, stop: int | None = None) -> AbstractAsyncContextManager[Stream]:
        """Ask for the blob from byte `offset` to `stop` (exclusive; its end by default).

        The answer may hold more than was asked for. Raises UpstreamError and nothing else.
        """
        ...
