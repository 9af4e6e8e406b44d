"""Requests of a client, as they were recorded, and what is made of them."""

import itertools

from dataplane.events.event import Event
from dataplane.events.fold import Fold
from dataplane.events.records import Client, Kind, Outline, Record, short

CLIENT = Client("token", "user", "customer", "organization", "artifact", "10.0.0.1")
DOCKER = "docker/20.10.24"
SKOPEO = "skopeo/1.9.3"


def name(text: str) -> str:
    """A digest for something that is told apart by a word."""
    return f"sha256:{text.encode().hex():0<64}"


class Requests:
    """Requests of a client for one tag, `1.0`, of an index of two images with two layers each."""

    def __init__(self, *, quick: bool = False) -> None:
        """Whether blobs are `quick` enough to be told of in one record."""
        self.quick = quick
        self.now = 1000.0
        ids = (f"{number:032x}" for number in itertools.count(1))
        self.fold = Fold(make_id=lambda: next(ids))
        self.client = CLIENT
        self.agent = DOCKER
        images = {child: Outline(blobs=tuple(map(short, self.blobs(child)))) for child in "ab"}
        index = Outline(children=((name("a"), "linux/amd64"), (name("b"), "linux/arm64/v8")))
        self.outlines = {name("index"): index, **{name(child): images[child] for child in "ab"}}

    def blobs(self, child: str) -> list[str]:
        """Config, and layers."""
        return [name(f"{child} {part}") for part in ("config", "one", "two")]

    def take(self, kind: Kind, digest: str, **more: object) -> None:
        """A record, some milliseconds after the last one."""
        self.now += 0.005
        outline = self.outlines.get(digest, Outline())
        record = Record(kind, self.now, self.now, self.client, self.agent, digest, outline=outline)
        self.fold.take(record._replace(**more))

    def head(self, digest: str = "index", tag: str = "1.0") -> None:
        self.take(Kind.LOOK, name(digest), tag=tag)

    def get(self, digest: str = "index", tag: str = "") -> None:
        self.take(Kind.GET, name(digest), tag=tag, bytes=100)

    def blob(self, digest: str, *, warm: bool = True, whole: bool = True) -> None:
        size = 1000 if whole else 1
        if self.quick:
            self.take(Kind.SENT, digest, last=self.now + 0.01, warm=warm, whole=whole, bytes=size)
            self.now += 0.005
            return
        self.take(Kind.BEGIN, digest, warm=warm)
        self.take(Kind.END, digest, warm=warm, whole=whole, bytes=size)

    def image(self, child: str = "a", **how: bool) -> None:
        for blob in self.blobs(child)[::-1]:
            self.blob(blob, **how)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def events(self) -> list[Event]:
        """What has come of it, when all is quiet."""
        self.now += 100
        return sorted(self.fold.ended(self.now), key=lambda event: event.time)
