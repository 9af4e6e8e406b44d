"""What workers note of requests, and how it travels."""

import json

from clients.oci.digest import Digest
from dataplane.access.principal import Principal
from dataplane.config.configuration import ArtifactEntry
from dataplane.events.recorder import Recorder
from dataplane.events.records import LONGEST_AGENT, Kind, Record, printable, unpack
from dataplane.events.requests import AGAIN
from dataplane.resolve.manifest import ResolvedManifest
from tests.fakes.images import make_image, make_index

PRINCIPAL = Principal("token", "user", "organization", 1, None)
ARTIFACT = ArtifactEntry("artifact", "organization", "acme/app", 1)
IMAGE = make_image()
INDEX = make_index([IMAGE])
MANIFEST = ResolvedManifest(INDEX.digest, INDEX.media_type, INDEX.manifest, 1)


class Noting:
    """A recorder, and what it delivered."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.records: list[Record] = []
        self.recorder = Recorder(self.records.extend, lambda: self.now)

    def manifest(self, reference: str = "1.0", *, sent: bool = True) -> None:
        key = (reference, sent)
        if not self.recorder.again(key, PRINCIPAL, MANIFEST, self.now):
            who = (PRINCIPAL, ARTIFACT, "10.0.0.1", "docker/20")
            self.recorder.manifest(key, *who, reference, MANIFEST, self.now, sent=sent)


def test_a_flood_is_one_record() -> None:
    """The same request within moments costs a number; after a pause it is told by itself."""
    noting = Noting()
    for _ in range(100):
        noting.manifest()
        noting.now += AGAIN / 2
    noting.now += AGAIN
    noting.manifest()
    noting.manifest(sent=False)
    noting.recorder.flush()
    first, second, third = noting.records
    assert (first.kind, first.at, first.bytes) == (Kind.GET, 1000.0, 100 * len(INDEX.manifest))
    assert second.at - first.last > AGAIN
    assert (third.kind, third.bytes) == (Kind.LOOK, 0)
    noting.recorder.flush()
    assert len(noting.records) == 3


def test_a_transfer() -> None:
    """Its beginning, that it goes on, and its end with what was sent."""
    noting = Noting()
    blob = IMAGE.layers[0]
    who = (PRINCIPAL, ARTIFACT, "10.0.0.1", "docker/20")
    ended = noting.recorder.blob(*who, blob.digest, blob.size, noting.now, warm=False)
    for _ in range(8):
        noting.recorder.flush()
        noting.now += 0.25
    ended(blob.size)
    noting.recorder.flush()
    noting.recorder.flush()
    kinds = [record.kind for record in noting.records]
    assert kinds == [Kind.BEGIN, Kind.RUN, Kind.END]
    assert (noting.records[-1].whole, noting.records[-1].bytes, noting.records[-1].warm) == (
        True,
        blob.size,
        False,
    )


def test_a_transfer_that_ended_within_moments() -> None:
    """One record says when it began, when it ended, and what was sent."""
    noting = Noting()
    blob = IMAGE.layers[0]
    ended = noting.recorder.blob(
        PRINCIPAL, ARTIFACT, "10.0.0.1", "docker/20", blob.digest, blob.size, noting.now, warm=True
    )
    noting.now += 0.1
    ended(blob.size)
    noting.recorder.flush()
    noting.recorder.flush()
    (record,) = noting.records
    assert (record.kind, record.at, record.last) == (Kind.SENT, 1000.0, 1000.1)
    assert (record.whole, record.bytes) == (True, blob.size)


def test_records_travel_as_json() -> None:
    """And come out as they went in, what a manifest names included."""
    noting = Noting()
    noting.manifest()
    noting.recorder.flush()
    assert noting.records[0].outline.children == ((str(IMAGE.digest), "linux/amd64"),)
    assert unpack(json.loads(json.dumps(noting.records))) == noting.records


def test_user_agents() -> None:
    """Are kept as far as they are printable, and not too long."""
    assert printable("docker/20 (x)\x00\x1b[31m") == "docker/20 (x)[31m"
    assert len(printable("a" * 1000)) == LONGEST_AGENT


def test_of_a_manifest_that_names_very_much_some_is_told() -> None:
    """They come along with each program's request: a manifest may name ten thousand, an image has ten."""
    noting = Noting()
    layers = ",".join(
        f'{{"mediaType":"application/octet-stream","digest":"sha256:{n:064x}","size":1}}' for n in range(3000)
    )
    content = (
        f'{{"schemaVersion":2,"config":{layers[: layers.index("},") + 1]},"layers":[{layers}]}}'.encode()
    )
    digest = Digest.of(content)
    manifest = ResolvedManifest(digest, "application/vnd.oci.image.manifest.v1+json", content, 1)
    who = (PRINCIPAL, ARTIFACT, "10.0.0.1", "docker/20")
    noting.recorder.manifest("key", *who, "1.0", manifest, noting.now, sent=True)
    noting.recorder.flush()
    (record,) = noting.records
    assert (len(record.outline.blobs), record.outline.cut) == (1000, True)
