"""Asks an upstream, before it is saved, whether its repository can be used."""

import asyncio
from typing import Final

from clients.oci.errors import UpstreamUnavailable
from clients.oci.upstream import Upstream
from controlplane.upstream.access import UpstreamAccess

# Somebody waits for the answer.
TIMEOUT_SECONDS: Final = 30.0


async def check(access: UpstreamAccess, upstream: Upstream, *, timeout: float = TIMEOUT_SECONDS) -> None:
    """Raise UpstreamError unless the upstream has this repository and lets its tags be listed.

    Asks for at most `timeout` seconds.
    """
    try:
        async with asyncio.timeout(timeout):
            await access.repository(upstream).check()
    except TimeoutError as error:
        raise UpstreamUnavailable(
            upstream.host, f"{upstream.host} did not answer within {timeout:g} seconds."
        ) from error
