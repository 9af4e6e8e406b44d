"""Blobs in a bucket of any S3-compatible object store."""

import asyncio
import logging
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from clients.oci.digest import Digest, InvalidReference
from clients.oci.pace import Pace, TooSlow
from clients.oci.request import Timeouts
from dataplane.blobs.bucket_client import BucketClient, BucketFailed, NotOffered
from dataplane.blobs.sightings import Sightings
from dataplane.blobs.store import OpenFile
from dataplane.blobs.threads import in_thread

logger = logging.getLogger(__name__)

_CHUNK: Final = 256 * 1024
# Bytes of one part of an upload, and the number of parts that S3 allows for one object.
_PART: Final = 8 * 1024 * 1024
_MOST_PARTS: Final = 10_000
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+)")

Ask = Callable[..., Awaitable[Any]]
"""Makes one request; see BucketClient."""


class BucketStream:
    """A blob, or a part of it, as it comes; a Stream but for its errors, which are BucketFailed."""

    def __init__(
        self,
        body: Any,
        client: BucketClient,
        timeouts: Timeouts,
        *,
        offset: int,
        size: int,
    ) -> None:
        """Read body; the client is told of what ends it."""
        self._body = body
        self._client = client
        self._timeouts = timeouts
        self.offset = offset
        self.size = size

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Give the bytes as they arrive; breaks off where they come too slowly."""
        pace = Pace(self._timeouts, self._body.raw_stream.content.set_exception)
        try:
            while chunk := await pace.wait(partial(self._body.read, _CHUNK)):
                yield chunk
        except self._client.errors as error:
            if isinstance(slow := error.__context__, TooSlow):
                raise self._client.failed(f"it sent {slow}") from error
            raise self._client.failed(f"{type(error).__name__}: {error}") from error
        finally:
            pace.close()


class Bucket:
    """Blobs by digest, as `<prefix>/blobs/<algorithm>/<encoded>`. All methods raise BucketFailed."""

    def __init__(self, client: BucketClient) -> None:
        self.client = client
        self.place = client.place
        self.sightings = Sightings()
        """What was seen to be there."""
        self.timeouts = Timeouts()
        """How slowly a blob may come."""
        self._conditional = True

    @property
    def pauses(self) -> bool:
        """See BucketClient."""
        return self.client.pauses

    @asynccontextmanager
    async def open(
        self, digest: Digest, offset: int = 0, stop: int | None = None
    ) -> AsyncIterator[BucketStream | None]:
        """Ask for a blob from byte offset to stop (exclusive; the end by default); None if it is absent."""
        where = {"Range": f"bytes={offset}-{'' if stop is None else stop - 1}"} if offset or stop else {}
        answer = await self.client.ask("get_object", Key=self.key(digest), **where)
        if answer is None:
            self.sightings.note(digest, None)
            yield None
            return
        size = answer["ContentLength"]
        if where:
            match = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
            if match is None or int(match[1]) != offset:
                answer["Body"].close()
                raise self.client.failed("it sent a part without saying which, or another than was asked for")
            size = int(match[2])
        self.sightings.note(digest, size)
        try:
            yield BucketStream(answer["Body"], self.client, self.timeouts, offset=offset, size=size)
        finally:
            answer["Body"].close()

    async def size(self, digest: Digest) -> int | None:
        """Tell how many bytes a blob has; None if it is absent."""
        answer = await self.client.ask("head_object", Key=self.key(digest))
        size = None if answer is None else int(answer["ContentLength"])
        self.sightings.note(digest, size)
        return size

    async def put(
        self, digest: Digest, file: OpenFile, size: int, sent: Callable[[int], None] = lambda _: None
    ) -> bool:
        """Store size bytes of a file, which the caller has verified; whole or not at all under that name.

        One that is there with this size stays; False then. `sent` is told of bytes that have gone.
        """
        there = await self.size(digest)
        if there == size:
            return False
        # Another node may have been faster; what replaces a wrong object may not be conditional.
        create = self._create if there is None else self.client.ask
        part = max(_PART, -(-size // _MOST_PARTS))
        if size <= part:
            body = await in_thread(None, os.pread, file.fileno(), size, 0)
            done = await create("put_object", Key=self.key(digest), Body=body) is not None
            sent(size)
        else:
            done = await self._put_parts(self.key(digest), file, size, part, create, sent)
        if done:
            self.sightings.note(digest, size)
        elif await self.size(digest) != size:
            raise BucketFailed("another request was in the way")
        return done

    async def remove(self, digest: Digest) -> bool:
        """Forget a blob; False if it was not there."""
        there = await self.size(digest) is not None
        self.sightings.note(digest, None)
        await self.client.ask("delete_object", Key=self.key(digest))
        return there

    async def entries(self) -> list[tuple[Digest, int]]:
        """List digest and size of what is there."""
        found: list[tuple[Digest, int]] = []
        start = self.client.key("blobs/")
        more: dict[str, str] = {}
        while True:
            page = await self.client.ask("list_objects_v2", Prefix=start, **more) or {}
            for entry in page.get("Contents", ()):
                try:
                    digest = Digest.parse(entry["Key"][len(start) :].replace("/", ":", 1))
                except InvalidReference:
                    continue
                found.append((digest, int(entry["Size"])))
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def _create(self, operation: str, **parameters: Any) -> Any:
        """Make an object, unless there is one: None then, where the server offers to look."""
        if self._conditional:
            try:
                return await self.client.ask(operation, IfNoneMatch="*", **parameters)
            except NotOffered:
                self._conditional = False
        return await self.client.ask(operation, **parameters)

    async def _put_parts(
        self, key: str, file: OpenFile, size: int, part: int, complete: Ask, sent: Callable[[int], None]
    ) -> bool:
        upload = (await self.client.ask("create_multipart_upload", Key=key) or {})["UploadId"]
        try:
            parts = []
            for number, offset in enumerate(range(0, size, part), 1):
                body = await in_thread(None, os.pread, file.fileno(), min(part, size - offset), offset)
                taken = await self.client.ask(
                    "upload_part", Key=key, UploadId=upload, PartNumber=number, Body=body
                )
                parts.append({"PartNumber": number, "ETag": (taken or {})["ETag"]})
                sent(len(body))
            done = await complete(
                "complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            # Parts that nobody completes are paid for, and seen by nobody.
            await asyncio.shield(self._abort(key, upload))
            raise
        if done is None:
            await self._abort(key, upload)
        return done is not None

    async def _abort(self, key: str, upload: str) -> None:
        try:
            await self.client.ask("abort_multipart_upload", Key=key, UploadId=upload)
        except BucketFailed as error:
            logger.warning("the upload of %s to %s could not be taken back: %s", key, self.place, error)

    def key(self, digest: Digest) -> str:
        """Give the key of a blob, whether it is there or not."""
        return self.client.key(f"blobs/{digest.algorithm}/{digest.encoded}")
