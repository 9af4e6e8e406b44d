"""Asks an upstream, before it is saved, whether its repository can be used."""

import asyncio
from contextlib import suppress
from typing import Final

from clients.oci.errors import UpstreamInvalid, UpstreamNotFound, UpstreamUnavailable
from clients.oci.registry import Registry
from controlplane.upstream.access import Target, UpstreamAccess

# Somebody waits for the answer.
TIMEOUT_SECONDS: Final = 30.0


async def check(access: UpstreamAccess, target: Target, *, timeout: float = TIMEOUT_SECONDS) -> None:
    """Raise UpstreamError unless the upstream has this repository, and lets tags and a manifest be read.

    Asks for at most `timeout` seconds. A repository without tags has no manifest to read, and is good.
    """
    try:
        async with asyncio.timeout(timeout):
            registry = access.repository(target)
            tags = await registry.check()
            if tags:
                await _read(registry, tags[0])
    except TimeoutError as error:
        host = target.upstream.host
        raise UpstreamUnavailable(host, f"{host} did not answer within {timeout:g} seconds.") from error


async def _read(registry: Registry, tag: str) -> None:
    # A tag whose manifest is gone, or is one that nobody reads, says nothing against the others.
    with suppress(UpstreamNotFound, UpstreamInvalid):
        # HEAD takes the same right as GET, and counts against no limit of Docker Hub's.
        if await registry.head_manifest(tag) is None:
            await registry.get_manifest(tag)
