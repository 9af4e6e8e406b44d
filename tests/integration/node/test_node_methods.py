"""What NodeService answers to nodes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest
from prometheus_client import CollectorRegistry
from sqlmodel import select

from controlplane.analytics.recorder import Recorder
from controlplane.api.caller import Caller, acting_as
from controlplane.api.errors import ApiError
from controlplane.api.node import NodeServicer
from controlplane.api.uses import Uses
from controlplane.catalog import tagging
from controlplane.catalog.referring import Referring
from controlplane.catalog.resolve import Resolver
from controlplane.catalog.unknown import Unknown
from controlplane.config.watch import ConfigFeed
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.tables import Node
from controlplane.upstream.access import UpstreamAccess
from penstock.v1 import node_pb2
from tests.fakes.images import Image, make_artifact, make_image
from tests.fakes.pulls import KEPT, Counts
from tests.fakes.registry import FakeRegistry
from tests.fakes.rows import NOW, add, add_artifact
from tests.fakes.tokens import TokenService

_CONTEXT = object()


@pytest.fixture
async def servicer(database: Database, access: UpstreamAccess) -> AsyncIterator[NodeServicer]:
    """The service, with what stands behind it."""
    feed, resolver = ConfigFeed(database), Resolver(database, access)
    referring = Referring(database, access, now=lambda: NOW)
    await feed.start()
    recorder = Recorder(database, Counts(), keep=KEPT, now=lambda: NOW)
    uses = Uses(database, CollectorRegistry(), lambda: NOW)
    yield NodeServicer(database, feed, resolver, referring, access, recorder, uses, lambda: NOW)
    await referring.stop()
    await resolver.stop()
    await feed.stop()


@pytest.fixture
async def artifact(database: Database, fake: FakeRegistry) -> Artifact:
    """An artifact of the fake upstream's repository team/app."""
    return await add_artifact(database, f"{fake.host}/team/app")


@pytest.fixture
async def node(database: Database) -> Node:
    """An admitted node."""
    row = Node(uid="node-uid", node_id="eu-west-1a", sha256=b"x" * 32, create_time=NOW)
    await add(database, row)
    return row


@pytest.fixture
def calling(node: Node) -> Iterator[None]:
    """Calls come from the node."""
    with acting_as(Caller(node_uid=node.uid)):
        yield


async def test_watching_gives_a_snapshot_whatever_the_node_runs(
    artifact: Artifact, servicer: NodeServicer
) -> None:
    """A node that claims a revision from the future gets the whole configuration all the same."""
    request = node_pb2.WatchConfigRequest(revision=10_000)
    async with aclosing(servicer.WatchConfig(request, _CONTEXT)) as responses:
        first = await anext(responses)
    assert [entry.uid for entry in first.snapshot.artifacts] == [artifact.uid]


async def test_a_status_is_kept(database: Database, servicer: NodeServicer, node: Node) -> None:
    """What a node says of itself is shown, without what lists cannot show, and not without end."""
    with acting_as(Caller(node_uid=node.uid)):
        await servicer.ReportStatus(
            node_pb2.ReportStatusRequest(
                revision=42,
                config_error="bad\x00\n entry" + "!" * 5000,
                version="0.1.0",
                passed_over_count=3,
                passed_over="new\n rule" + "!" * 5000,
            ),
            _CONTEXT,
        )
    async with database.read() as session:
        row = (await session.exec(select(Node))).one()
    assert (row.revision, row.version, row.last_seen_time) == (42, "0.1.0", NOW)
    assert row.config_error.startswith("bad entry!")
    assert len(row.config_error) <= 1000
    assert row.passed_over_count == 3
    assert row.passed_over.startswith("new rule!")
    assert len(row.passed_over) <= 1000


async def test_a_reference_resolves_to_its_manifest(
    servicer: NodeServicer, fake: FakeRegistry, artifact: Artifact
) -> None:
    """By tag and by digest; the content stays away where the node has it."""
    image = fake.add(make_image(), "team/app", ["1.0"])
    expected = node_pb2.ResolveReferenceResponse(
        digest=str(image.digest),
        media_type=image.media_type,
        size=len(image.manifest),
        content=image.manifest,
        content_revision=2,
    )
    # A tag reaches what it stands for; for a digest without a scope, none is looked for.
    for reference, expected.reached_by in (("1.0", "1.0"), (str(image.digest), "")):
        request = node_pb2.ResolveReferenceRequest(artifact_uid=artifact.uid, reference=reference)
        assert await servicer.ResolveReference(request, _CONTEXT) == expected

    request.known_digest = str(image.digest)
    expected.ClearField("content")
    assert await servicer.ResolveReference(request, _CONTEXT) == expected

    layer = image.layers[0]
    blob = await servicer.ResolveBlob(
        node_pb2.ResolveBlobRequest(artifact_uid=artifact.uid, digest=str(layer.digest)), _CONTEXT
    )
    assert (blob.digest, blob.size) == (str(layer.digest), layer.size)
    assert blob.media_type.startswith("application/vnd.oci.image.layer")
    assert blob.content_revision == 2


@pytest.mark.parametrize("reference", ["", "not/a/tag", "sha256:abc", "md5:" + "0" * 32, ".hidden"])
async def test_a_malformed_reference_is_an_invalid_argument(servicer: NodeServicer, reference: str) -> None:
    """All that is wrong is said at once."""
    with pytest.raises(ApiError) as caught:
        await servicer.ResolveReference(node_pb2.ResolveReferenceRequest(reference=reference), _CONTEXT)
    assert [violation.field for violation in caught.value.violations] == ["artifact_uid", "reference"]


async def test_an_artifact_that_is_gone_is_unknown_to_every_method(servicer: NodeServicer) -> None:
    """A node whose configuration is behind learns it from each of them."""
    with pytest.raises(Unknown, match="no such artifact"):
        await servicer.ResolveReference(
            node_pb2.ResolveReferenceRequest(artifact_uid="gone", reference="1.0"), _CONTEXT
        )
    with pytest.raises(Unknown, match="no such artifact"):
        await servicer.ResolveBlob(
            node_pb2.ResolveBlobRequest(artifact_uid="gone", digest="sha256:" + "0" * 64), _CONTEXT
        )
    with pytest.raises(Unknown, match="no such artifact"):
        await servicer.GetUpstreamAccess(node_pb2.GetUpstreamAccessRequest(artifact_uid="gone"), _CONTEXT)
    with pytest.raises(Unknown, match="no such artifact"):
        await anext(servicer.StreamTags(node_pb2.StreamTagsRequest(artifact_uid="gone"), _CONTEXT))


async def test_tags_are_streamed_in_order(
    database: Database, servicer: NodeServicer, artifact: Artifact
) -> None:
    """All of them, a thousand a message, with the content revision."""
    names = [f"v{number}" for number in range(2500)]
    async with database.write() as session:
        await tagging.set_tags(database, session, saved_id(artifact), dict.fromkeys(names, "sha256:a"), NOW)
    request = node_pb2.StreamTagsRequest(artifact_uid=artifact.uid)

    async with aclosing(servicer.StreamTags(request, _CONTEXT)) as responses:
        messages = [message async for message in responses]

    assert [len(message.tags) for message in messages] == [1000, 1000, 500]
    assert [tag for message in messages for tag in message.tags] == sorted(names)
    assert {message.content_revision for message in messages} == {2}


async def test_an_artifact_without_tags_streams_that(servicer: NodeServicer, artifact: Artifact) -> None:
    """A node can tell no tags from no answer."""
    request = node_pb2.StreamTagsRequest(artifact_uid=artifact.uid)
    async with aclosing(servicer.StreamTags(request, _CONTEXT)) as responses:
        assert [message async for message in responses] == [node_pb2.StreamTagsResponse(content_revision=1)]


async def test_access_to_an_open_upstream(
    servicer: NodeServicer, fake: FakeRegistry, artifact: Artifact
) -> None:
    """Where blobs come from, without anything to show."""
    fake.add(make_image(), "team/app", ["1.0"])
    found = await servicer.GetUpstreamAccess(
        node_pb2.GetUpstreamAccessRequest(artifact_uid=artifact.uid), _CONTEXT
    )
    assert found == node_pb2.GetUpstreamAccessResponse(
        base_url=fake.base_url, repository="team/app", allow_private_addresses=True
    )


async def test_access_to_an_upstream_that_wants_tokens(
    servicer: NodeServicer, fake: FakeRegistry, artifact: Artifact
) -> None:
    """The token that the upstream gave, with its end; another one when the first was refused."""
    fake.add(make_image(), "team/app", ["1.0"])
    fake.tokens = TokenService()
    request = node_pb2.GetUpstreamAccessRequest(artifact_uid=artifact.uid)

    first = await servicer.GetUpstreamAccess(request, _CONTEXT)
    assert first.authorization == "Bearer fake-token-1"
    assert first.HasField("expire_time")
    assert await servicer.GetUpstreamAccess(request, _CONTEXT) == first

    fake.tokens.revoke()
    request.refused = True
    assert (await servicer.GetUpstreamAccess(request, _CONTEXT)).authorization == "Bearer fake-token-2"


async def signed(
    servicer: NodeServicer, artifact: Artifact, fake: FakeRegistry
) -> tuple[Image, node_pb2.ListReferrersRequest]:
    """Have a resolved image signed upstream: gives the signature, and the question that finds it."""
    image = fake.add(make_image(), "team/app", ["1.0"])
    await servicer.ResolveReference(
        node_pb2.ResolveReferenceRequest(artifact_uid=artifact.uid, reference="1.0"), _CONTEXT
    )
    signature = fake.add(make_artifact("application/vnd.example.signature", subject=image), "team/app")
    return signature, node_pb2.ListReferrersRequest(artifact_uid=artifact.uid, digest=str(image.digest))


async def test_referrers_come_with_type_and_annotations(
    servicer: NodeServicer, artifact: Artifact, fake: FakeRegistry
) -> None:
    """A signature that was made after the last sync is found, and still is when the upstream is away."""
    signature, request = await signed(servicer, artifact, fake)

    found = await servicer.ListReferrers(request, _CONTEXT)

    (referrer,) = found.referrers
    assert (referrer.digest, referrer.size) == (str(signature.digest), len(signature.manifest))
    assert (referrer.media_type, referrer.artifact_type) == (signature.media_type, signature.artifact_type)
    await fake.stop()
    assert (await servicer.ListReferrers(request, _CONTEXT)).referrers == found.referrers


async def test_whoever_asks_for_referrers_meanwhile_gets_them_as_well(
    servicer: NodeServicer, artifact: Artifact, fake: FakeRegistry
) -> None:
    """Two nodes that verify a new signature at once: the second is not told that there is none."""
    _, request = await signed(servicer, artifact, fake)
    fake.requests.clear()
    first = asyncio.create_task(servicer.ListReferrers(request, _CONTEXT))
    while not fake.requests:  # noqa: ASYNC110 - the fake tells nobody
        await asyncio.sleep(0.001)
    second = await servicer.ListReferrers(request, _CONTEXT)
    assert len(second.referrers) == 1
    assert second.referrers == (await first).referrers
    asked = len(fake.requests)
    await servicer.ListReferrers(request, _CONTEXT)
    assert len(fake.requests) == asked


async def test_nothing_is_asked_of_the_upstream_about_what_is_not_held(
    servicer: NodeServicer, artifact: Artifact, fake: FakeRegistry
) -> None:
    """A client that makes up digests keeps the upstream out of it."""
    unknown = make_image(seed=77)
    found = await servicer.ListReferrers(
        node_pb2.ListReferrersRequest(artifact_uid=artifact.uid, digest=str(unknown.digest)), _CONTEXT
    )
    assert not found.referrers
    assert fake.requests == []


async def test_a_scope_without_rules_is_not_taken_for_everything(
    artifact: Artifact, servicer: NodeServicer
) -> None:
    """Whoever may have nothing must not be given all for a list that came out empty."""
    nobody, digest = node_pb2.TagScope(), str(make_image().digest)
    calls = (
        lambda: servicer.ResolveReference(
            node_pb2.ResolveReferenceRequest(artifact_uid=artifact.uid, reference=digest, scope=nobody),
            _CONTEXT,
        ),
        lambda: servicer.ResolveBlob(
            node_pb2.ResolveBlobRequest(artifact_uid=artifact.uid, digest=digest, scope=nobody), _CONTEXT
        ),
        lambda: servicer.ListReferrers(
            node_pb2.ListReferrersRequest(artifact_uid=artifact.uid, digest=digest, scope=nobody), _CONTEXT
        ),
    )
    for call in calls:
        with pytest.raises(ApiError) as caught:
            await call()
        assert caught.value.code.name == "INVALID_ARGUMENT"
