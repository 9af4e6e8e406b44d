"""Leases as objects in the bucket itself, for nodes that share nothing else."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from dataplane.blobs.bucket_client import BucketClient, BucketFailed, NotOffered
from dataplane.blobs.leases import LASTS, LeasesNotOffered, LeasesUnavailable
from dataplane.blobs.way import Key, name_of

# S3 dates objects to the second.
_ROUNDED: Final = 1.0


class BucketLeases:
    """A lease is `<prefix>/leases/<algorithm>/<encoded>...`, made and taken over by conditional requests.

    How old it is the server says, by its own clock: those of the nodes need not agree.
    """

    def __init__(self, client: BucketClient, owner: str, lasts: float = LASTS) -> None:
        """Take leases for owner, a name of this node alone; `lasts` is in seconds, for all nodes alike."""
        self._client = client
        self._owner = owner
        self._lasts = lasts
        self._offered: bool | None = None
        # Entity tags of what this process wrote last.
        self._held: dict[Key, str] = {}

    async def take(self, key: Key) -> bool:
        """See Leases."""
        async with self._translated():
            if key in self._held and await self._write(key, IfMatch=self._held[key]):
                return True
            # It may be gone all the same, or another request have been in the way.
            self._held.pop(key, None)
            await self._check()
            if await self._write(key, IfNoneMatch="*"):
                return True
            there = await self._client.ask("head_object", Key=self._key(key))
            if there is None or not (self._is_ours(there) or self._is_over(there)):
                return False
            return await self._write(key, IfMatch=_tag(there))

    async def release(self, key: Key) -> None:
        """See Leases."""
        if self._held.pop(key, None) is None:
            return
        async with self._translated():
            there = await self._client.ask("head_object", Key=self._key(key))
            # Not by its entity tag: that of a request which was broken off is not known.
            if there is not None and self._is_ours(there):
                await self._client.ask("delete_object", Key=self._key(key))

    async def close(self) -> None:
        """See Leases; the client belongs to others."""

    async def _write(self, key: Key, **condition: str) -> bool:
        written = await self._client.ask(
            "put_object",
            Key=self._key(key),
            # No two are the same: the entity tag tells them apart.
            Body=f"{self._owner} {secrets.token_hex(8)}\n".encode(),
            Metadata={"owner": self._owner},
            **condition,
        )
        if written is None:
            return False
        self._held[key] = _tag(written)
        return True

    def _is_ours(self, there: Any) -> bool:
        return bool(there["Metadata"].get("owner") == self._owner)

    def _is_over(self, there: Any) -> bool:
        said = there["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(said) if said else datetime.now(UTC)
        return bool((now - there["LastModified"]).total_seconds() > self._lasts + _ROUNDED)

    async def _check(self) -> None:
        """Find out, once, whether the server keeps to conditions, or would give all nodes the lease."""
        if self._offered is None:
            key = self._client.key(f"leases/probe-{secrets.token_hex(8)}")
            try:
                await self._client.ask("put_object", Key=key, Body=b"", IfNoneMatch="*")
                again = await self._client.ask("put_object", Key=key, Body=b"", IfNoneMatch="*")
                await self._client.ask("delete_object", Key=key)
                self._offered = again is None
            except NotOffered:
                self._offered = False
        if not self._offered:
            raise LeasesNotOffered(f"{self._client.place} has no conditional writes (If-None-Match).")

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except NotOffered as error:
            raise LeasesNotOffered(f"{self._client.place}: {error}") from error
        except BucketFailed as error:
            raise LeasesUnavailable(f"{self._client.place}: {error}") from error

    def _key(self, key: Key) -> str:
        return self._client.key(f"leases/{key[0].algorithm}/{name_of(key)}")


def _tag(answer: Any) -> str:
    # Some servers compare If-Match without taking the quotes off.
    return str(answer["ETag"]).strip('"')
