"""Reading a blob of an upstream as a stream (distribution specification, "Pulling blobs")."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from clients.oci.body import take_rest
from clients.oci.digest import Digest
from clients.oci.errors import UpstreamInvalid
from clients.oci.failure import refusal, translated
from clients.oci.pace import Pace
from clients.oci.request import Request, Timeouts
from clients.oci.transport import Transport, check_encoding

# RFC 9110, section 14.4.
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class BlobAccess:
    """What the control plane hands out to fetch blobs of one upstream repository."""

    # Scheme, host and port.
    base_url: str
    repository: str
    # Value of the Authorization header for `base_url`'s own origin; empty where it wants none.
    authorization: str = field(repr=False)
    # Whether the upstream, and what it redirects to, may be at loopback and private addresses.
    allow_private: bool
    # PEM certificates to verify `base_url` with, in place of the system's; empty for these.
    ca_certificates: str = field(default="", repr=False)


class BlobStream:
    """A blob, or its end, as it comes in; unverified, since only the reader has all of it."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        host: str,
        timeouts: Timeouts,
        *,
        offset: int,
        size: int | None,
    ) -> None:
        self._response = response
        self._host = host
        self._timeouts = timeouts
        # 200, or 206 where the answer is a part.
        self.status = response.status
        # Where in the blob the first byte stands: 0 where the upstream ignored the range.
        self.offset = offset
        # Bytes of the whole blob; None where the upstream does not say.
        self.size = size
        self.etag = response.headers.get("ETag", "")

    async def chunks(self) -> AsyncGenerator[bytes | memoryview, None]:
        """Yields the bytes as they arrive; raises UpstreamError where they end too soon or come too slowly.

        The time is bounded by that and the size, and not at all by how long the reader takes. There is no
        limit on the amount where `size` is None.
        """
        with translated(self._host):
            taken = take_rest(self._response, self._timeouts.idle)
            if taken is None:
                content = self._response.content
                pace = Pace(self._timeouts, content.set_exception)
                try:
                    while chunk := await pace.wait(content.readany):
                        yield chunk
                finally:
                    pace.close()
                return
            first, rest = taken
            pace = Pace(self._timeouts, rest.fail)
            try:
                yield first
                while piece := await pace.wait(rest.read):
                    yield piece
            finally:
                pace.close()
                rest.close()


@asynccontextmanager
async def open_blob(
    transport: Transport, access: BlobAccess, digest: Digest, *, offset: int = 0, stop: int | None = None
) -> AsyncIterator[BlobStream]:
    """Opens a blob from byte `offset` on; asks once, since the reader knows best whether to try again.

    With `stop` (exclusive) no more than that is asked for, though the upstream may send more.

    Redirects are followed without the authorization. Raises UpstreamError.
    """
    url = URL(access.base_url)
    host = f"{url.raw_host}:{url.port}" if url.explicit_port else url.raw_host or ""
    request = Request(
        host=host,
        url=URL(f"{url.origin()}/v2/{access.repository}/blobs/{digest}", encoded=True),
        headers={"Range": f"bytes={offset}-{'' if stop is None else stop - 1}"} if offset or stop else {},
        authorization=access.authorization,
        allow_private=access.allow_private,
        of_content=True,
        ca_certificates=access.ca_certificates,
    )
    async with transport.open(request) as response:
        if response.status not in (200, 206):
            with translated(host):
                async with asyncio.timeout(transport.timeouts.total):
                    body = await response.content.read(16 * 1024)
            what = f"the blob {digest} of {access.repository}"
            raise refusal(host, what, response.status, response.headers, body, secret=access.authorization)
        check_encoding(response, host)
        start, size = _extent(response, host)
        if start > offset:
            raise UpstreamInvalid(host, f"{host} left out a part of the blob {digest}.")
        yield BlobStream(response, host, transport.timeouts, offset=start, size=size)


def _extent(response: aiohttp.ClientResponse, host: str) -> tuple[int, int | None]:
    # Where the answer starts, and the size of the whole.
    if response.status == 200:
        return 0, response.content_length
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None:
        raise UpstreamInvalid(host, f"{host} sent a part of a blob without saying which.")
    start, last, size = match.groups()
    length = response.content_length
    if length is not None and length != int(last) - int(start) + 1:
        raise UpstreamInvalid(host, f"{host} sent a part of a blob that has another length than it says.")
    return int(start), None if size == "*" else int(size)
