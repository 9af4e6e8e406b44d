"""Bucket, against a real S3 server on a socket."""

import os
import tracemalloc
from collections.abc import Awaitable, Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from clients.oci.digest import Digest
from dataplane.blobs import bucket as bucket_module
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_client import BucketClient, BucketFailed
from dataplane.blobs.place import Place
from tests.fakes.blobs import BytesBlob, GeneratedBlob, content_of
from tests.fakes.faulty_bucket import FaultyBucket
from tests.servers.certificates import Authority
from tests.servers.moto import Moto
from tests.unit.dataplane.blobs.buckets import KeptInBucket, held, put
from tests.unit.dataplane.blobs.conformance import REQUIREMENTS, Kept
from tests.unit.dataplane.blobs.reading import MIB


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.__name__)
async def test_conforms(bucket: Bucket, requirement: Callable[[Kept], Awaitable[None]]) -> None:
    """What every place for blobs must do."""
    await requirement(KeptInBucket(bucket))


async def test_large_blobs_go_up_in_parts_and_come_down_by_ranges(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, proxy: FaultyBucket
) -> None:
    """Several parts make one object; any range of it is exactly that range, with the size of the whole."""
    monkeypatch.setattr(bucket_module, "_PART", 5 * MIB)
    blob = GeneratedBlob(2, 11 * MIB + 1)
    content = content_of(blob)

    sent: list[int] = []
    assert await put(bucket, blob.digest, content, sent.append) is True
    assert sent == [5 * MIB, 5 * MIB, MIB + 1]
    assert await held(bucket, blob.digest) == content
    for start, stop in ((1, None), (5 * MIB - 1, 5 * MIB + 1), (blob.size - 1, None)):
        async with bucket.open(blob.digest, start, stop) as stream:
            assert stream is not None
            assert (stream.offset, stream.size) == (start, blob.size)
            assert b"".join([chunk async for chunk in stream.chunks()]) == content[start:stop]
    # What is there is not sent again.
    proxy.asked.clear()
    assert await put(bucket, blob.digest, content) is False
    assert [asked.partition(" ")[0] for asked in proxy.asked] == ["HEAD"]


async def test_another_part_than_was_asked_for_is_not_taken(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a blob cannot be verified: at least it has to say that it is the right one."""
    blob = GeneratedBlob(4, MIB)
    await put(bucket, blob.digest, content_of(blob))
    ask = bucket.client.ask

    async def shifted(operation: str, **parameters: Any) -> Any:
        return await ask(operation, **{**parameters, "Range": "bytes=0-9"})

    monkeypatch.setattr(bucket.client, "ask", shifted)
    with pytest.raises(BucketFailed, match="another than was asked for"):
        async with bucket.open(blob.digest, 10, 20):
            pass


async def test_an_upload_that_breaks_off_leaves_nothing(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, proxy: FaultyBucket
) -> None:
    """The object is not there, and its parts are taken back."""
    monkeypatch.setattr(bucket_module, "_PART", 5 * MIB)
    ask = bucket.client.ask

    async def broken(operation: str, **parameters: Any) -> Any:
        if operation == "complete_multipart_upload":
            raise BucketFailed("no more")
        return await ask(operation, **parameters)

    monkeypatch.setattr(bucket.client, "ask", broken)
    blob = GeneratedBlob(3, 6 * MIB)
    with pytest.raises(BucketFailed):
        await put(bucket, blob.digest, content_of(blob))

    assert await bucket.size(blob.digest) is None
    left = await bucket.client.ask("list_multipart_uploads")
    assert left.get("Uploads", []) == []


async def test_one_of_two_nodes_puts_a_blob(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both found it absent: the server takes the first, and the second is no error."""
    looks, size = iter("ab"), bucket.size

    async def absent(digest: Digest) -> int | None:
        return None if next(looks, None) else await size(digest)

    monkeypatch.setattr(bucket, "size", absent)
    digest = Digest.of(b"content")
    assert await put(bucket, digest, b"content") is True
    assert await put(bucket, digest, b"content") is False
    monkeypatch.undo()
    assert await held(bucket, digest) == b"content"
    assert not bucket.pauses


async def test_a_blob_that_another_request_was_in_the_way_of_is_not_taken_to_be_there(
    bucket: Bucket, proxy: FaultyBucket
) -> None:
    """Whether the other request has put it there nobody knows: it is looked for, and put again otherwise."""
    digest = Digest.of(b"content")
    proxy.fault = "409"
    with pytest.raises(BucketFailed, match="in the way"):
        await put(bucket, digest, b"content")
    assert not bucket.sightings.has(digest, 7)
    assert not bucket.pauses
    assert await put(bucket, digest, b"content") is True
    assert await held(bucket, digest) == b"content"


async def test_a_server_with_a_certificate_of_ones_own(moto: Moto, aws: None, tmp_path: Path) -> None:
    """It is trusted with the authority's file, and only then."""
    authority = Authority()
    pair = authority.issue(tmp_path, "127.0.0.1")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(authority.pem)
    name = moto.new_bucket()
    async with FaultyBucket(moto.url, pair.server_context()) as proxy:
        async with BucketClient(Place(name, "", proxy.url, ca_file)) as client:
            bucket = Bucket(client)
            assert await put(bucket, Digest.of(b"content"), b"content") is True
            assert await held(bucket, Digest.of(b"content")) == b"content"
        async with BucketClient(Place(name, "", proxy.url)) as client:
            with pytest.raises(BucketFailed, match="CERTIFICATE_VERIFY_FAILED"):
                await Bucket(client).size(Digest.of(b"content"))
    # The bucket is a part of the path: no name is to be resolved.
    assert all(asked.split()[1].startswith(f"/{name}/") for asked in proxy.asked)


async def test_a_server_that_does_not_know_conditions_takes_blobs(
    bucket: Bucket, proxy: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses If-None-Match once, and is not asked for it again."""
    proxy.fault = "501"
    monkeypatch.setattr(bucket_module, "_PART", 5 * MIB)
    for blob in (BytesBlob(b"small"), GeneratedBlob(2, 5 * MIB + 1)):
        assert await put(bucket, blob.digest, content_of(blob)) is True
        assert await held(bucket, blob.digest) == content_of(blob)
    assert not bucket.pauses


async def test_an_upload_costs_a_part_of_memory(
    moto: Moto, aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large the blob is: it is read from its file part by part."""
    monkeypatch.setattr(bucket_module, "_PART", 5 * MIB)
    size = 60 * MIB
    async with BucketClient(Place(moto.new_bucket(), "", moto.url)) as client:
        with FileIO(os.memfd_create("blob"), "r+") as file:
            file.truncate(size)
            digest = Digest.of(b"not looked at here")
            # What is loaded once, at the first request, does not count.
            await Bucket(client).size(digest)
            tracemalloc.start()
            try:
                assert await Bucket(client).put(digest, file, size) is True
                _, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert await Bucket(client).size(digest) == size
    assert most < 3 * 5 * MIB
