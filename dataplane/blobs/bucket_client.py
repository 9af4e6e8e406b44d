"""The way to a bucket: signed requests, bounded in time, with one kind of error."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp

from dataplane.blobs.place import Place

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

# Seconds; a bucket that is slower than the upstream is of no use.
_CONNECT: Final = 2.0
_ANSWER: Final = 5.0
_SILENCE: Final = 10.0
_SEND: Final = 120.0
# Seconds that a bucket which failed is left alone.
_PAUSE: Final = 15.0
_ABSENT: Final = ("NoSuchKey", "404", "NotFound")
_MAY_BE_ABSENT: Final = ("get_object", "head_object", "put_object")
_THERE: Final = ("PreconditionFailed", "412", "ConditionalRequestConflict")
# What Ceph says where another request changed the object between its look and its write.
_OVERTAKEN: Final = ("UnknownError",)
_UNKNOWN: Final = ("NotImplemented", "501")


class BucketFailed(Exception):
    """The bucket did not do what it was asked; `str()` is one sentence for the log."""


class NotOffered(BucketFailed):
    """The server does not know what it was asked for; for all else it is as good as before."""


class BucketClient:
    """Makes requests to one bucket; an async context manager.

    After a request failed, `pauses` is true for a while.
    """

    def __init__(self, place: Place, clock: Callable[[], float] = time.monotonic) -> None:
        """Describe it; clock gives seconds that never jump."""
        # Takes a tenth of a second and megabytes, which nodes without a bucket do without.
        from aiobotocore.session import get_session  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        self.place = place
        self.session: AioSession = get_session()
        """Knows the credentials, and renews those that end."""
        self.errors = (BotoCoreError, ClientError, aiohttp.ClientError, TimeoutError, OSError)
        """What the libraries raise where a request, or the reading of its body, fails."""
        self._refused = ClientError
        self._clock = clock
        self._until = float("-inf")
        self._stack = AsyncExitStack()
        self._client: Any = None

    @property
    def pauses(self) -> bool:
        """Whether the bucket is left alone, since it failed just now."""
        return self._clock() < self._until

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        # The library alone among AWS's does not know the first, which Kubernetes' nodes are given.
        region = os.environ.get("AWS_REGION") or self.session.get_config_variable("region")
        return str(region or "us-east-1")

    async def __aenter__(self) -> Self:
        self._client = await self._stack.enter_async_context(self.connect(self.place.endpoint))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def connect(self, endpoint: str, signature_version: Any = "s3v4") -> Any:
        """Give a client of an endpoint, Amazon's where that is empty: a context manager of the library."""
        from aiobotocore.config import AioConfig  # noqa: PLC0415

        config = AioConfig(
            signature_version=signature_version,
            s3={"addressing_style": "path" if endpoint else "virtual"},
            connect_timeout=_CONNECT,
            read_timeout=_SILENCE,
            # Whoever asks knows better what to do than to ask again.
            retries={"total_max_attempts": 1},
            max_pool_connections=64,
            # Other servers than Amazon's do not know the newer checksums; the digest is one.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return self.session.create_client(
            "s3",
            region_name=self.region,
            endpoint_url=endpoint or None,
            verify=None if self.place.ca_file is None else str(self.place.ca_file),
            config=config,
        )

    async def ask(self, operation: str, **parameters: Any) -> Any:
        """Make one request; None for what is absent, or where a condition of the request does not hold.

        Raises BucketFailed.
        """
        long = operation in ("put_object", "upload_part", "complete_multipart_upload")
        try:
            async with asyncio.timeout(_SEND if long else _ANSWER):
                return await getattr(self._client, operation)(Bucket=self.place.bucket, **parameters)
        except self._refused as error:
            code = error.response.get("Error", {}).get("Code", "")
            if (code in _ABSENT and operation in _MAY_BE_ABSENT) or code in _THERE:
                return None
            if code in _OVERTAKEN and "IfMatch" in parameters:
                return None
            if code in _UNKNOWN:
                raise NotOffered(f"{type(error).__name__}: {error}") from error
            raise self.failed(f"{type(error).__name__}: {error}") from error
        except self.errors as error:
            raise self.failed(f"{type(error).__name__}: {error}") from error

    def failed(self, sentence: str) -> BucketFailed:
        """Note a failure; gives what is to be raised."""
        self._until = self._clock() + _PAUSE
        return BucketFailed(sentence)

    def key(self, path: str) -> str:
        """Give the key of a path below the prefix."""
        return f"{self.place.prefix}/{path}" if self.place.prefix else path
