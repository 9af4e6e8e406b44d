"""A blob, or a part of one, through any number of broken upstream requests."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError, UpstreamRateLimited, UpstreamUnavailable
from dataplane.blobs.errors import BlobFailed, Fault, NotRanged
from dataplane.blobs.measures import Measures
from dataplane.blobs.patience import Patience
from dataplane.blobs.source import Source, Stream

logger = logging.getLogger(__name__)


class Transfer:
    """The bytes from `position` to `stop` (exclusive) of a blob that the manifest says has `size` bytes.

    Unverified: that is for whoever has all of them.
    """

    def __init__(
        self,
        digest: Digest,
        size: int,
        source: Source,
        measures: Measures,
        patience: Patience,
        *,
        position: int = 0,
        stop: int | None = None,
        skips: bool = True,
    ) -> None:
        """Describe it; with `skips`, bytes before `position` that are sent all the same are read over."""
        self.position = position
        """Where the next byte stands that is given."""
        self.digest = digest
        self.size = size
        self._source = source
        self._measures = measures
        self._patience = patience
        self._stop = size if stop is None else stop
        self._first = position
        self._skips = skips

    async def chunks(self) -> AsyncGenerator[bytes | memoryview, None]:
        """Give all the bytes, each once and in order; raises UpstreamError or BlobFailed.

        Where a request breaks off, the rest is asked for, within the bounds of patience. Raises NotRanged
        before the first byte, where it would have to skip and does not.
        """
        failures = 0
        while (start := self.position) < self._stop:
            failure: UpstreamError | BlobFailed | None = None
            try:
                async with aclosing(self._request()) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except (UpstreamUnavailable, UpstreamRateLimited) as error:
                failure = error
            if self.position < self._stop:
                failures = 1 if self.position - start >= self._patience.progress else failures + 1
                await self._pause(failure or self._ended_early(), failures)

    async def _request(self) -> AsyncGenerator[bytes | memoryview, None]:
        stop = None if self._stop == self.size else self._stop
        async with self._source.open(self.position, stop) as stream, aclosing(self._fresh(stream)) as chunks:
            async for chunk in chunks:
                wanted = chunk[: self._stop - self.position]
                self.position += len(wanted)
                yield wanted
                # More than was asked for of a part; of a whole blob, the end shows that it is not longer.
                if stop is not None and self.position == stop:
                    return

    async def _fresh(self, stream: Stream) -> AsyncGenerator[bytes | memoryview, None]:
        if stream.size not in (None, self.size):
            raise BlobFailed(
                Fault.SIZE,
                f"The upstream's {self.digest} has {stream.size} bytes; its manifest says {self.size}.",
            )
        # A registry that ignores Range starts from 0 again.
        at, known = stream.offset, self.position
        if at > known:
            raise BlobFailed(
                Fault.RANGE,
                f"The upstream was asked for {self.digest} from byte {known}, and answered from byte {at}.",
            )
        if at < known == self._first and not self._skips:
            raise NotRanged(f"The upstream was asked for {self.digest} from byte {known}, and began at {at}.")
        async with aclosing(stream.chunks()) as chunks:
            async for chunk in chunks:
                self._measures.upstream_bytes += len(chunk)
                at += len(chunk)
                if at > self.size:
                    raise BlobFailed(
                        Fault.SIZE,
                        f"The upstream's {self.digest} has more than the {self.size} bytes of its manifest.",
                    )
                if at > known:
                    yield chunk[known - at :] if at - len(chunk) < known else chunk

    def _ended_early(self) -> BlobFailed:
        return BlobFailed(
            Fault.SIZE,
            f"The upstream's {self.digest} ends after {self.position} bytes; its manifest says {self.size}.",
        )

    async def _pause(self, failure: UpstreamError | BlobFailed, failures: int) -> None:
        pause = self._patience.pause(failure, failures, started=self.position > self._first)
        if pause is None:
            raise failure
        logger.warning(
            "blob %s of %s broke off after %d of %d bytes, asked for again in %.1f s: %s",
            self.digest, self._source, self.position, self.size, pause, failure,
        )  # fmt: skip
        self._measures.resumes += 1
        await self._patience.sleep(pause)
