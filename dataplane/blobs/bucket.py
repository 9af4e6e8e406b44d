"""Blobs in a bucket of any S3-compatible object store."""

import asyncio
import logging
import os
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from io import FileIO
from typing import Any, Final, Self

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from clients.oci.digest import Digest, InvalidReference
from dataplane.blobs.place import Place
from dataplane.blobs.threads import in_thread

logger = logging.getLogger(__name__)

_CHUNK: Final = 256 * 1024
# Bytes of one part of an upload, and the number of parts that S3 allows for one object.
_PART: Final = 8 * 1024 * 1024
_MOST_PARTS: Final = 10_000
# Seconds; a bucket that is slower than the upstream is of no use.
_CONNECT: Final = 2.0
_ANSWER: Final = 5.0
_SILENCE: Final = 10.0
_SEND: Final = 120.0
# Seconds that a bucket which failed is left alone.
_PAUSE: Final = 15.0
_ERRORS: Final = (BotoCoreError, ClientError, aiohttp.ClientError, TimeoutError, OSError)
_ABSENT: Final = ("NoSuchKey", "404", "NotFound")
_THERE: Final = ("PreconditionFailed", "412", "ConditionalRequestConflict")
_CONTENT_RANGE: Final = re.compile(r"bytes [0-9]+-[0-9]+/([0-9]+)")


class BucketFailed(Exception):
    """The bucket did not do what it was asked; `str()` is one sentence for the log."""


class BucketStream:
    """A blob, or a part of it, as it comes; a Stream but for its errors, which are BucketFailed."""

    def __init__(self, body: Any, failed: Callable[[str], BucketFailed], *, offset: int, size: int) -> None:
        """Read body; failed is told of what ends it, and gives what is to be raised."""
        self._body = body
        self._failed = failed
        self.offset = offset
        self.size = size

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Give the bytes as they arrive."""
        try:
            async with aclosing(self._body.iter_chunks(_CHUNK)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except _ERRORS as error:
            raise self._failed(f"{type(error).__name__}: {error}") from error


class Bucket:
    """Blobs by digest, as `<prefix>/blobs/<algorithm>/<encoded>`; an async context manager.

    All methods raise BucketFailed. After one did, `pauses` is true for a while.
    """

    def __init__(self, place: Place, clock: Callable[[], float] = time.monotonic) -> None:
        """Describe it; clock gives seconds that never jump."""
        self.place = place
        self._clock = clock
        self._until = float("-inf")
        self._stack = AsyncExitStack()
        self._client: Any = None

    @property
    def pauses(self) -> bool:
        """Whether the bucket is left alone, since it failed just now."""
        return self._clock() < self._until

    async def __aenter__(self) -> Self:
        config = AioConfig(
            signature_version="s3v4",
            s3={"addressing_style": "path" if self.place.endpoint else "auto"},
            connect_timeout=_CONNECT,
            read_timeout=_SILENCE,
            # Whoever asks knows better what to do than to ask again.
            retries={"total_max_attempts": 1},
            max_pool_connections=64,
            # Other servers than Amazon's do not know the newer checksums; the digest is one.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session = get_session()
        region = session.get_config_variable("region") or "us-east-1"
        client = session.create_client(
            "s3",
            region_name=region,
            endpoint_url=self.place.endpoint or None,
            verify=None if self.place.ca_file is None else str(self.place.ca_file),
            config=config,
        )
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def open(
        self, digest: Digest, offset: int = 0, stop: int | None = None
    ) -> AsyncIterator[BucketStream | None]:
        """Ask for a blob from byte offset to stop (exclusive; the end by default); None if it is absent."""
        where = {"Range": f"bytes={offset}-{'' if stop is None else stop - 1}"} if offset or stop else {}
        answer = await self._ask("get_object", Key=self._key(digest), **where)
        if answer is None:
            yield None
            return
        size = answer["ContentLength"]
        if where:
            match = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
            if match is None:
                answer["Body"].close()
                raise self._failed("it sent a part without saying which")
            size = int(match[1])
        try:
            yield BucketStream(answer["Body"], self._failed, offset=offset, size=size)
        finally:
            answer["Body"].close()

    async def size(self, digest: Digest) -> int | None:
        """Tell how many bytes a blob has; None if it is absent."""
        answer = await self._ask("head_object", Key=self._key(digest))
        return None if answer is None else int(answer["ContentLength"])

    async def put(self, digest: Digest, file: FileIO, size: int) -> bool:
        """Store size bytes of a file, which the caller has verified; whole or not at all under that name.

        One that is there with this size stays; False then.
        """
        there = await self.size(digest)
        if there == size:
            return False
        # Another node may have been faster; what replaces a wrong object may not be conditional.
        condition = {"IfNoneMatch": "*"} if there is None else {}
        part = max(_PART, -(-size // _MOST_PARTS))
        if size <= part:
            body = await in_thread(None, os.pread, file.fileno(), size, 0)
            return await self._ask("put_object", Key=self._key(digest), Body=body, **condition) is not None
        return await self._put_parts(self._key(digest), file, size, part, condition)

    async def remove(self, digest: Digest) -> bool:
        """Forget a blob; False if it was not there."""
        there = await self.size(digest) is not None
        await self._ask("delete_object", Key=self._key(digest))
        return there

    async def entries(self) -> list[tuple[Digest, int]]:
        """List digest and size of what is there."""
        found: list[tuple[Digest, int]] = []
        start = self._path("blobs/")
        more: dict[str, str] = {}
        while True:
            page = await self._ask("list_objects_v2", Prefix=start, **more) or {}
            for entry in page.get("Contents", ()):
                try:
                    digest = Digest.parse(entry["Key"][len(start) :].replace("/", ":", 1))
                except InvalidReference:
                    continue
                found.append((digest, int(entry["Size"])))
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def _put_parts(
        self, key: str, file: FileIO, size: int, part: int, condition: dict[str, str]
    ) -> bool:
        upload = (await self._ask("create_multipart_upload", Key=key) or {})["UploadId"]
        try:
            parts = []
            for number, offset in enumerate(range(0, size, part), 1):
                body = await in_thread(None, os.pread, file.fileno(), min(part, size - offset), offset)
                sent = await self._ask("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=body)
                parts.append({"PartNumber": number, "ETag": (sent or {})["ETag"]})
            done = await self._ask(
                "complete_multipart_upload",
                Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **condition,
            )  # fmt: skip
        except BaseException:
            # Parts that nobody completes are paid for, and seen by nobody.
            await asyncio.shield(self._abort(key, upload))
            raise
        if done is None:
            await self._abort(key, upload)
        return done is not None

    async def _abort(self, key: str, upload: str) -> None:
        try:
            await self._ask("abort_multipart_upload", Key=key, UploadId=upload)
        except BucketFailed as error:
            logger.warning("the upload of %s to %s could not be taken back: %s", key, self.place, error)

    async def _ask(self, operation: str, **parameters: Any) -> Any:
        """Make one request; None for what is absent, or there already where it must not be."""
        long = operation in ("put_object", "upload_part", "complete_multipart_upload")
        try:
            async with asyncio.timeout(_SEND if long else _ANSWER):
                return await getattr(self._client, operation)(Bucket=self.place.bucket, **parameters)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if (code in _ABSENT and operation in ("get_object", "head_object")) or code in _THERE:
                return None
            raise self._failed(f"{type(error).__name__}: {error}") from error
        except _ERRORS as error:
            raise self._failed(f"{type(error).__name__}: {error}") from error

    def _failed(self, sentence: str) -> BucketFailed:
        self._until = self._clock() + _PAUSE
        return BucketFailed(sentence)

    def _key(self, digest: Digest) -> str:
        return self._path(f"blobs/{digest.algorithm}/{digest.encoded}")

    def _path(self, path: str) -> str:
        return f"{self.place.prefix}/{path}" if self.place.prefix else path
