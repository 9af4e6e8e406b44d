"""Follow: two caches over one folder, as two worker processes have them."""

import asyncio
import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.oci.errors import UpstreamNotFound
from dataplane.blobs.claim import Claim
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.fill import HELD_BACK
from dataplane.blobs.watch import Watch
from dataplane.blobs.way import name_of
from tests.fakes.blobs import BytesBlob, GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import (
    MIB,
    failed_pull,
    pull,
    read,
    read_until_failure,
    settled,
    spools,
    stored,
)

BLOB = GeneratedBlob(1, 4 * MIB)


@pytest.fixture(params=["told by the kernel", "looking"])
def watching(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With inotify, and without."""
    if request.param == "looking":
        monkeypatch.setattr(Watch, "_open", lambda self: None)


@pytest.mark.usefixtures("watching")
async def test_a_follower_reads_while_it_grows_and_never_asks(
    make_cache: Callable[..., Any], root: Path
) -> None:
    """Bytes reach the other process's readers at once, the end when it is verified, and one blob is kept."""
    one, two = await make_cache(), await make_cache()
    gate = asyncio.Event()
    source, never = ScriptedSource(BLOB, Turn(pause_after=2 * MIB, gate=gate)), ScriptedSource(BLOB)

    filling = asyncio.create_task(pull(one, BLOB, source))
    await asyncio.sleep(0.01)
    with await two.open(BLOB.digest, BLOB.size, never) as reader:
        assert not reader.warm
        assert await read(reader, 0, MIB) == content_of(BLOB)[:MIB]
        gate.set()
        assert await read(reader) == content_of(BLOB)
    assert await filling == content_of(BLOB)
    await settled(one)
    await settled(two)

    assert (source.asked, never.asked) == ([0], [])
    assert (two.measures.followers, two.measures.misses) == (1, 0)
    assert stored(root) == {str(BLOB.digest)}
    assert spools(root) == []
    assert await pull(two, BLOB, never) == content_of(BLOB)
    assert two.measures.hits == 1


async def test_the_end_is_held_back_from_followers_too(make_cache: Callable[..., Any]) -> None:
    """All but one byte is there, and no process gives the last chunk."""
    one, two = await make_cache(), await make_cache()
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=BLOB.size - 1, gate=gate))
    with (
        await one.open(BLOB.digest, BLOB.size, source),
        await two.open(BLOB.digest, BLOB.size, source) as reader,
    ):
        assert len(await read(reader, 0, BLOB.size - HELD_BACK)) == BLOB.size - HELD_BACK
        more = asyncio.create_task(reader.available(BLOB.size - HELD_BACK))
        await asyncio.sleep(0.1)
        assert not more.done()
        gate.set()
        assert await more == BLOB.size
        assert await read(reader, BLOB.size - HELD_BACK) == content_of(BLOB)[-HELD_BACK:]


@pytest.mark.usefixtures("watching")
async def test_a_worker_that_stops_hands_over(make_cache: Callable[..., Any], root: Path) -> None:
    """The process that fetches is told to stop: the other goes on where it was, unnoticed by its readers."""
    one, two = await make_cache(), await make_cache()
    source = ScriptedSource(BLOB, Turn(pause_after=2 * MIB, gate=asyncio.Event()))
    rest = ScriptedSource(BLOB)

    with await one.open(BLOB.digest, BLOB.size, source) as reader:
        await read(reader, 0, 2 * MIB)
        following = asyncio.create_task(pull(two, BLOB, rest))
        await asyncio.sleep(0.1)
        await one.stop()
        _, failure = await read_until_failure(reader)

    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.STOPPED
    assert await following == content_of(BLOB)
    assert rest.asked == [2 * MIB]
    assert two.measures.takeovers == 1
    await settled(two)
    assert stored(root) == {str(BLOB.digest)}
    assert spools(root) == []


def none_left(_path: str, _flags: int) -> int:
    """Opens no file."""
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_a_worker_without_a_descriptor_leaves_it_to_the_next(
    make_cache: Callable[..., Any], root: Path
) -> None:
    """It cannot go on with what another one left: that is no trouble of the disk, and what is there stays."""
    one, two = await make_cache(), await make_cache()
    source = ScriptedSource(BLOB, Turn(pause_after=2 * MIB, gate=asyncio.Event()))
    rest = ScriptedSource(BLOB)
    with (
        await one.open(BLOB.digest, BLOB.size, source) as filling,
        await two.open(BLOB.digest, BLOB.size, rest) as reader,
    ):
        await read(filling, 0, 2 * MIB)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dataplane.blobs.spool.private", none_left)
            await one.stop()
            _, failure = await read_until_failure(reader)
    assert isinstance(failure, BlobFailed)
    assert (two.trouble, rest.asked) == ("", [])
    assert await pull(two, BLOB, rest) == content_of(BLOB)
    assert rest.asked == [2 * MIB]


async def test_wrong_bytes_in_what_was_left_are_found(make_cache: Callable[..., Any], root: Path) -> None:
    """What another process has spooled is hashed again before it counts: nobody gets a wrong blob's end."""
    one = await make_cache()
    source = ScriptedSource(BLOB, Turn(pause_after=2 * MIB, gate=asyncio.Event()))
    with await one.open(BLOB.digest, BLOB.size, source) as reader:
        await read(reader, 0, 2 * MIB)
        await one.stop()
    (spool,) = (root / "spool").glob("*.spool")
    with spool.open("r+b") as file:
        file.seek(MIB)
        file.write(b"wrong")

    two = await make_cache()
    got, failure = await failed_pull(two, BLOB.digest, BLOB.size, ScriptedSource(BLOB))

    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.DIGEST
    assert len(got) <= BLOB.size - HELD_BACK
    assert await pull(two, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)


async def test_the_bytes_of_a_fetch_that_failed_are_not_those_of_the_next(
    make_cache: Callable[..., Any], root: Path
) -> None:
    """Its process died before its follower looked, and by then another has the right ones in another file."""
    cache = await make_cache()
    name = name_of((BLOB.digest, BLOB.size, ""))
    spool = root / "spool" / f"{name}.spool"

    def fetch(content: bytes, failure: BlobFailed | None) -> Iterator[Claim]:
        with Claim(root / "spool" / f"{name}.claim") as claim:
            assert claim.take()
            spool.unlink(missing_ok=True)
            spool.write_bytes(content)
            claim.announce(spool.stat().st_ino)
            yield claim
            claim.settle(failure)

    wrong = fetch(bytes(BLOB.size), BlobFailed(Fault.DIGEST, "It has another digest."))
    next(wrong)
    with await cache.open(BLOB.digest, BLOB.size, ScriptedSource(BLOB)) as reader:
        assert await read(reader, 0, MIB) == bytes(MIB)
        for fetching in (wrong, fetch(content_of(BLOB), None)):
            list(fetching)
        got, failure = await read_until_failure(reader)

    assert isinstance(failure, BlobFailed)
    assert len(got) <= BLOB.size - HELD_BACK


async def test_a_verdict_of_before_is_not_that_of_the_fetch_that_is_followed(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a right blob that was not kept: the next fetch's file may get the number that its file had."""
    cache = await make_cache()
    name = name_of((BLOB.digest, BLOB.size, ""))
    spool, path, take = root / "spool" / f"{name}.spool", root / "spool" / f"{name}.claim", Claim.take
    right = Claim(path)
    assert right.take()
    spool.write_bytes(content_of(BLOB))
    right.announce(spool.stat().st_ino)
    following = []

    def then_another(claim: Claim) -> bool:
        monkeypatch.setattr(Claim, "take", take)
        assert not take(claim)
        right.settle(None)
        right.end()
        spool.write_bytes(bytes(BLOB.size))
        following.append(wrong := Claim(path))
        assert wrong.take()
        wrong.announce(spool.stat().st_ino)
        return False

    monkeypatch.setattr(Claim, "take", then_another)
    with await cache.open(BLOB.digest, BLOB.size, ScriptedSource(BLOB)) as reader:
        following[0].settle(BlobFailed(Fault.DIGEST, "It has another digest."))
        got, failure = await read_until_failure(reader)
    following[0].end()

    assert isinstance(failure, BlobFailed)
    assert len(got) <= BLOB.size - HELD_BACK


async def test_a_spool_from_before_a_restart_of_the_machine_is_not_trusted(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may then have a length without its bytes: it goes at the start."""
    one = await make_cache()
    source = ScriptedSource(BLOB, Turn(pause_after=2 * MIB, gate=asyncio.Event()))
    with await one.open(BLOB.digest, BLOB.size, source) as reader:
        await read(reader, 0, 2 * MIB)
        await one.stop()
    assert spools(root)

    monkeypatch.setattr("dataplane.blobs.claim._boot", lambda: "another boot")
    two = await make_cache()

    assert spools(root) == []
    rest = ScriptedSource(BLOB)
    assert await pull(two, BLOB, rest) == content_of(BLOB)
    assert rest.asked == [0]


async def test_a_failure_crosses_over_with_its_details(make_cache: Callable[..., Any]) -> None:
    """The follower's error has the class, sentence and host of the original."""
    one, two = await make_cache(), await make_cache()
    blob, gate = BytesBlob(b"content"), asyncio.Event()
    gone = UpstreamNotFound("registry.example", "registry.example does not have it.", retry_after=7)
    source = ScriptedSource(blob, Turn(pause_after=0, gate=gate, cut_after=0), Turn(refused=gone))

    with (
        await one.open(blob.digest, blob.size, source),
        await two.open(blob.digest, blob.size, ScriptedSource(blob)) as reader,
    ):
        gate.set()
        _, failure = await read_until_failure(reader)

    assert isinstance(failure, UpstreamNotFound)
    assert (str(failure), failure.host, failure.retry_after) == (str(gone), "registry.example", 7)


async def test_nobody_polls_while_nothing_happens(
    make_cache: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch that stands still costs a follower a look a second, not more."""
    one, two = await make_cache(), await make_cache()
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate))
    with await one.open(BLOB.digest, BLOB.size, source) as first:
        await read(first, 0, MIB)
        following = asyncio.create_task(pull(two, BLOB, source))
        await asyncio.sleep(0.3)
        looks: list[int] = []
        fstat = os.fstat

        def counted(descriptor: int) -> os.stat_result:
            looks.append(descriptor)
            return fstat(descriptor)

        monkeypatch.setattr(os, "fstat", counted)
        await asyncio.sleep(0.5)
        monkeypatch.undo()
        gate.set()
        assert await following == content_of(BLOB)

    assert len(looks) <= 2


@pytest.mark.parametrize("verdict", [{"kind": "OF_LATER", "sentence": "It is not."}, {"of": "later"}])
async def test_a_verdict_that_is_not_understood_ends_the_wait(
    make_cache: Callable[..., Any], root: Path, verdict: dict[str, str]
) -> None:
    """As of a process of another version that is about to replace this one: no client waits for ever."""
    one, two = await make_cache(), await make_cache()
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate))
    with await one.open(BLOB.digest, BLOB.size, source) as filling:
        await filling.available(0)
        waiting = asyncio.create_task(failed_pull(two, BLOB.digest, BLOB.size, source))
        while not two.measures.followers:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
        (claim,) = (root / "spool").glob("*.claim")
        record = json.loads(claim.read_bytes()) | {"verdict": verdict}
        with claim.open("r+b") as file:
            file.write(json.dumps(record).encode().ljust(4096))
        async with asyncio.timeout(10):
            got, failure = await waiting
        assert isinstance(failure, BlobFailed)
        assert failure.fault is Fault.NODE
        assert len(got) < BLOB.size
        gate.set()
        assert await read(filling) == content_of(BLOB)
