"""Names lead to public addresses only, in bounded time, and without standing in anybody's way."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clients.oci.address import AddressRefused
from clients.oci.resolver import GuardedResolver

# Seconds after which something goes on for ever.
PATIENCE = 10


def answer_with(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Has the system's resolver answer with these addresses, whatever it is asked."""
    system = socket.getaddrinfo

    def getaddrinfo(_host: str, port: int, family: int, kind: int, flags: int) -> list[Any]:
        del flags
        return [found for text in addresses for found in system(text, port, family, kind)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """Has look-ups of other names than `quick.example` stall, as with a dead name server; tells which do."""
    released, asked = threading.Event(), list[str]()

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        if host != "quick.example":
            released.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield lambda: asked
    released.set()
    for thread in threading.enumerate():
        if thread.name == "name-lookup":
            thread.join()


async def test_private_addresses_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a name with several addresses, the public ones are used."""
    answer_with(monkeypatch, "10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111")
    found = await GuardedResolver(allow_private=False, timeout=PATIENCE).resolve("r.example", 443)
    assert [result["host"] for result in found] == ["8.8.8.8", "2606:4700::1111"]
    assert {result["port"] for result in found} == {443}


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1%lo"])
async def test_a_name_with_nothing_else_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """The name of a metadata service is as bad as its address."""
    answer_with(monkeypatch, address)
    with pytest.raises(AddressRefused, match=r"rebind\.example is at"):
        await GuardedResolver(allow_private=False, timeout=PATIENCE).resolve("rebind.example", 443)
    found = await GuardedResolver(allow_private=True, timeout=PATIENCE).resolve("rebind.example", 443)
    assert [result["host"] for result in found] == [address]


async def test_a_resolver_that_stalls(stalled: Callable[[], list[str]]) -> None:
    """It is given up on as if the name did not exist."""
    with pytest.raises(OSError, match="not resolved in time"):
        await GuardedResolver(allow_private=True, timeout=0.01).resolve("r.example", 443)
    assert stalled() == ["r.example"]


async def test_names_that_stall_stand_in_nobodys_way(stalled: Callable[[], list[str]]) -> None:
    """Files are read and other names found while more of them hang than the event loop has threads."""
    resolver = GuardedResolver(allow_private=True, timeout=PATIENCE)
    names = [f"dead-{number}.example" for number in range((os.cpu_count() or 1) + 5)]
    hanging = [asyncio.create_task(resolver.resolve(name, 443)) for name in names]
    async with asyncio.timeout(PATIENCE / 2):
        while len(stalled()) < len(names):  # noqa: ASYNC110 - they are asked in threads
            await asyncio.sleep(0)
        assert await asyncio.to_thread(os.getpid) == os.getpid()
        assert [found["host"] for found in await resolver.resolve("quick.example", 443)] == ["8.8.8.8"]
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_names_of_one_owner_take_no_others_place(stalled: Callable[[], list[str]]) -> None:
    """A registry may redirect to one name after another below its own: four of them are looked up at once."""
    resolver = GuardedResolver(allow_private=True, timeout=PATIENCE)
    names = [f"{number}.dead.example" for number in range(40)]
    hanging = [asyncio.create_task(resolver.resolve(name, 443)) for name in names]
    async with asyncio.timeout(PATIENCE / 2):
        assert [found["host"] for found in await resolver.resolve("quick.example", 443)] == ["8.8.8.8"]
    assert len(stalled()) == 5
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_threads_for_names_are_few(stalled: Callable[[], list[str]]) -> None:
    """However many names hang, and have been given up on, there are sixteen threads for them."""
    resolver = GuardedResolver(allow_private=True, timeout=0.05)
    names = [f"dead-{number}.example" for number in range(40)]
    found = await asyncio.gather(*(resolver.resolve(name, 443) for name in names), return_exceptions=True)
    assert all(isinstance(each, OSError) for each in found)
    assert len(stalled()) == 16
