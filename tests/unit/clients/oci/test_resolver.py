"""Names lead to public addresses only, and in bounded time."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import ThreadedResolver
from aiohttp.abc import ResolveResult

from clients.oci.address import AddressRefused
from clients.oci.resolver import GuardedResolver


def answer_with(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Has the system's resolver answer with these addresses."""

    async def resolve(_self: object, host: str, port: int, _family: Any) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=text, port=port, family=socket.AF_INET, proto=0, flags=0)
            for text in addresses
        ]

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)


async def test_private_addresses_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a name with several addresses, the public ones are used."""
    answer_with(monkeypatch, "10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111")
    found = await GuardedResolver(allow_private=False, timeout=1).resolve("r.example", 443)
    assert [result["host"] for result in found] == ["8.8.8.8", "2606:4700::1111"]


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1%2"])
async def test_a_name_with_nothing_else_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """The name of a metadata service is as bad as its address."""
    answer_with(monkeypatch, address)
    with pytest.raises(AddressRefused, match=r"rebind\.example is at"):
        await GuardedResolver(allow_private=False, timeout=1).resolve("rebind.example", 443)
    found = await GuardedResolver(allow_private=True, timeout=1).resolve("rebind.example", 443)
    assert [result["host"] for result in found] == [address]


async def test_a_resolver_that_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up on as if the name did not exist."""

    async def resolve(*_arguments: object) -> list[ResolveResult]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    with pytest.raises(OSError, match="not resolved in time"):
        await GuardedResolver(allow_private=True, timeout=0.01).resolve("r.example", 443)
