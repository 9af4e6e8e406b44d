"""What every place for blobs must do; each one's tests run all of `REQUIREMENTS` against it."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from clients.oci.digest import Digest

ONE = b"one blob"
TWO = b"another blob"

Read = Callable[[], Awaitable[bytes]]


class Kept(Protocol):
    """A place for blobs, as its tests use it."""

    async def put(self, digest: Digest, content: bytes) -> None:
        """Commits verified bytes."""
        ...

    async def open(self, digest: Digest) -> Read | None:
        """Opens a blob, to be read once and to its end; None if it is absent."""
        ...

    async def remove(self, digest: Digest) -> bool: ...

    async def sizes(self) -> dict[Digest, int]:
        """What is there, with its bytes."""
        ...


async def read(kept: Kept, digest: Digest) -> bytes | None:
    """Reads a blob; None if it is absent."""
    opened = await kept.open(digest)
    return None if opened is None else await opened()


async def gives_what_it_took(kept: Kept) -> None:
    """A committed blob can be read, any number of times; an empty one is a blob too."""
    for content in (ONE, b""):
        await kept.put(Digest.of(content), content)
        assert await read(kept, Digest.of(content)) == content
        assert await read(kept, Digest.of(content)) == content


async def knows_what_it_does_not_have(kept: Kept) -> None:
    """An absent blob is None to open, and False to remove; that is no error."""
    assert await kept.open(Digest.of(ONE)) is None
    assert await kept.remove(Digest.of(ONE)) is False
    assert await kept.sizes() == {}


async def keeps_algorithms_apart(kept: Kept) -> None:
    """The same content by sha256 and by sha512 is two blobs."""
    digest = Digest.of(ONE, "sha512")
    await kept.put(digest, ONE)
    assert await read(kept, digest) == ONE
    assert await kept.open(Digest.of(ONE)) is None
    assert await kept.sizes() == {digest: len(ONE)}


async def takes_the_same_again(kept: Kept) -> None:
    """Two nodes, or two fetches, may commit one blob: that is no error."""
    for _ in range(2):
        await kept.put(Digest.of(ONE), ONE)
    assert await read(kept, Digest.of(ONE)) == ONE


async def replaces_what_is_broken(kept: Kept) -> None:
    """What is there with another size is replaced whole; whoever has it open still reads it."""
    digest = Digest.of(TWO)
    await kept.put(digest, ONE)
    before = await kept.open(digest)
    await kept.put(digest, TWO)
    assert await read(kept, digest) == TWO
    assert before is not None
    assert await before() == ONE


async def removes_under_readers(kept: Kept) -> None:
    """A removed blob is gone for who comes, and there for who came."""
    digest = Digest.of(ONE)
    await kept.put(digest, ONE)
    before = await kept.open(digest)
    assert await kept.remove(digest) is True
    assert await kept.open(digest) is None
    assert before is not None
    assert await before() == ONE


async def lists_what_is_there(kept: Kept) -> None:
    """Digest and size of every blob, and of nothing else."""
    for content in (ONE, TWO):
        await kept.put(Digest.of(content), content)
    assert await kept.sizes() == {Digest.of(ONE): len(ONE), Digest.of(TWO): len(TWO)}


REQUIREMENTS: list[Callable[[Kept], Awaitable[None]]] = [
    gives_what_it_took,
    knows_what_it_does_not_have,
    keeps_algorithms_apart,
    takes_the_same_again,
    replaces_what_is_broken,
    removes_under_readers,
    lists_what_is_there,
]
