"""Requests to pulls, by the rules of docs/analytics.md: what each client sends, as it was recorded."""

import itertools
from collections.abc import Iterator

import pytest

from dataplane.events.event import Event
from dataplane.events.fold import WINDOW, Fold
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


@pytest.fixture(params=[False, True], ids=["slow blobs", "quick blobs"])
def requests(request: pytest.FixtureRequest) -> Iterator[Requests]:
    """A client, and the fold at the other end."""
    requests = Requests(quick=request.param)
    yield requests
    assert requests.fold.open() == []


def test_docker_by_tag(requests: Requests) -> None:
    """HEAD, index and image by digest, blobs: one event with all that can be known of it."""
    requests.head()
    requests.get()
    requests.get("a")
    requests.image(warm=False)
    (event,) = requests.events()
    assert event == Event(
        id=f"{1:032x}",
        time=1000.005,
        is_pull=True,
        organization_uid="organization",
        artifact_uid="artifact",
        customer_uid="customer",
        user_uid="user",
        token_uid="token",
        tag="1.0",
        digest=name("index"),
        platform="linux/amd64",
        platform_digest=name("a"),
        address="10.0.0.1",
        client=DOCKER,
        bytes_sent=3200,
        warm_blobs=0,
        cold_blobs=3,
        completed=True,
    )


def test_the_same_again_and_again(requests: Requests) -> None:
    """Each command is one event, however soon it follows."""
    for _ in range(3):
        requests.head()
        requests.get()
        requests.get("a")
        requests.image()
        requests.wait(0.1)
    requests.get(tag="1.0")
    requests.get("b")
    requests.image("b")
    requests.wait(0.1)
    requests.get()
    requests.get("a")
    requests.image()
    events = requests.events()
    assert [(event.tag, event.platform) for event in events] == [
        ("1.0", "linux/amd64"),
        ("1.0", "linux/amd64"),
        ("1.0", "linux/amd64"),
        ("1.0", "linux/arm64/v8"),
        ("", "linux/amd64"),
    ]
    assert all(event.is_pull and event.warm_blobs == 3 and event.completed for event in events)


def test_docker_that_kept_the_manifests(requests: Requests) -> None:
    """It asks for blobs behind a HEAD, or for nothing else at all; what they belong to is known."""
    requests.get(tag="1.0")
    requests.get("a")
    requests.image()
    requests.wait(20)
    before = requests.fold.ended(requests.now)
    requests.head()
    requests.image()
    requests.wait(20)
    tagged = requests.fold.ended(requests.now)
    requests.image()
    requests.wait(1)
    requests.image()
    bare = requests.events()
    for event in (*before, *tagged, *bare):
        assert (event.is_pull, event.digest) == (True, name("index"))
        assert (event.platform, event.platform_digest) == ("linux/amd64", name("a"))
    assert [event.tag for event in (*before, *tagged, *bare)] == ["1.0", "1.0", "", ""]


def test_blobs_that_versions_share(requests: Requests) -> None:
    """A client that asks for blobs alone pulls the version that has all of them."""
    base = name("base")
    for version in ("old", "new"):
        blobs = (name(f"{version} config"), base, name(f"{version} top"))
        requests.outlines[name(version)] = Outline(blobs=tuple(map(short, blobs)))
        requests.get(version, tag=version)
    requests.wait(20)
    assert len(requests.fold.ended(requests.now)) == 2
    for blob in (base, name("old top"), name("old config")):
        requests.blob(blob)
    (event,) = requests.events()
    assert event.digest == name("old")


def test_containerd_that_has_the_index(requests: Requests) -> None:
    """HEAD by tag, then another platform's manifest: a pull of the tag."""
    requests.head()
    requests.get("b")
    requests.image("b")
    (event,) = requests.events()
    assert (event.is_pull, event.tag, event.platform) == (True, "1.0", "linux/arm64/v8")


def test_all_platforms(requests: Requests) -> None:
    """skopeo copy --all, crane pull: one pull, of no platform in particular."""
    requests.agent = SKOPEO
    requests.get(tag="1.0")
    for child in "ab":
        requests.get(child)
        requests.image(child)
    (event,) = requests.events()
    assert (event.is_pull, event.platform, event.platform_digest) == (True, "", "")
    assert event.warm_blobs == 6


def test_only_a_head(requests: Requests) -> None:
    """Is a check, and so is every further one outside the window; within it they are one."""
    for _ in range(3):
        requests.head()
    requests.wait(WINDOW)
    assert len(requests.fold.ended(requests.now)) == 1
    requests.head()
    (event,) = requests.events()
    assert (event.is_pull, event.tag, event.digest) == (False, "1.0", name("index"))


def test_heads_without_end(requests: Requests) -> None:
    """A client that looks every second is seen every window, and not first when it stops."""
    seen = 0
    for _ in range(60):
        requests.head()
        requests.wait(1)
        seen += len(requests.fold.ended(requests.now))
    assert 5 <= seen <= 6
    requests.events()


def test_skopeo_inspect(requests: Requests) -> None:
    """A tool that looks takes manifests and config, and no layer: a check."""
    requests.agent = SKOPEO
    requests.get(tag="1.0")
    requests.get("a")
    requests.blob(requests.blobs("a")[0])
    (event,) = requests.events()
    assert not event.is_pull
    assert event.completed


def test_podman_that_has_the_image(requests: Requests) -> None:
    """It gets the manifest nevertheless: a pull, as registries count."""
    requests.agent = "containers/5.23.1 (github.com/containers/image)"
    requests.get(tag="1.0")
    requests.get("a")
    requests.blob(requests.blobs("a")[0])
    (event,) = requests.events()
    assert event.is_pull


def test_transfers_that_break_off(requests: Requests) -> None:
    """Not completed, unless the client comes back for the rest, which it may do late."""
    requests.get(tag="1.0")
    requests.get("a")
    one, two, config = requests.blobs("a")[1:] + requests.blobs("a")[:1]
    requests.blob(one)
    requests.blob(config)
    requests.blob(two, whole=False)
    requests.wait(30)
    assert requests.fold.ended(requests.now) == []
    requests.blob(two)
    requests.wait(20)
    (event,) = requests.fold.ended(requests.now)
    assert event.completed
    requests.get(tag="1.0")
    requests.get("b")
    requests.blob(requests.blobs("b")[1], whole=False)
    (event,) = requests.events()
    assert (event.completed, event.bytes_sent) == (False, 201)


def test_a_transfer_that_takes_its_time(requests: Requests) -> None:
    """The pull goes on for as long as bytes are sent."""
    requests.get(tag="1.0")
    requests.get("a")
    blob = requests.blobs("a")[1]
    requests.take(Kind.BEGIN, blob)
    for _ in range(300):
        requests.wait(1)
        requests.take(Kind.RUN, blob)
        assert requests.fold.ended(requests.now) == []
    requests.take(Kind.END, blob, whole=True, bytes=5)
    (event,) = requests.events()
    assert event.completed


def test_two_tags_at_once(requests: Requests) -> None:
    """Requests of one client that are mixed up go to the pull that they belong to."""
    other = (name("other config"), name("other layer"))
    requests.outlines[name("other")] = Outline(blobs=tuple(map(short, other)))
    requests.head()
    requests.head("other", tag="2.0")
    requests.get()
    requests.get("other")
    requests.get("a")
    for mine, theirs in zip(requests.blobs("a"), (*other, None), strict=True):
        requests.blob(mine)
        if theirs is not None:
            requests.blob(theirs, warm=False)
    first, second = requests.events()
    assert (first.tag, first.warm_blobs, first.cold_blobs) == ("1.0", 3, 0)
    assert (second.tag, second.warm_blobs, second.cold_blobs, second.platform) == ("2.0", 0, 2, "")


def test_clients_are_told_apart(requests: Requests) -> None:
    """By token and by address; the index of one is no reason for a child of another."""
    for client in (CLIENT, CLIENT._replace(address="10.0.0.2"), CLIENT._replace(token_uid="other")):
        requests.client = client
        requests.get(tag="1.0")
        requests.get("a")
    events = requests.events()
    assert len(events) == 3
    assert all(event.platform == "linux/amd64" for event in events)


def test_programs_are_told_apart(requests: Requests) -> None:
    """docker looked, and skopeo inspects on the same machine: two checks, and no pull."""
    requests.head()
    requests.agent = SKOPEO
    requests.get(tag="1.0")
    requests.get("a")
    events = requests.events()
    assert [(event.client, event.is_pull) for event in events] == [(DOCKER, False), (SKOPEO, False)]


def test_more_than_there_is_room_for(requests: Requests) -> None:
    """The oldest are ended early, and none is lost."""
    requests.fold = Fold(most=10)
    for number in range(50):
        requests.client = CLIENT._replace(address=f"10.0.1.{number}")
        requests.get(tag="1.0")
    assert len(requests.fold.open()) == 10
    assert len(requests.events()) == 50


def test_many_names_take_room_as_well(requests: Requests) -> None:
    """However many programs ask for a manifest that names very much: the oldest end early, none is lost."""
    requests.fold = Fold(most_names=1000)
    names = tuple(short(name(str(number))) for number in range(300))
    requests.outlines[name("huge")] = Outline(blobs=names)
    for number in range(20):
        requests.agent = f"program/{number}"
        requests.get("huge", tag="1.0")
        assert sum(command.names for command in requests.fold.open()) <= 1000
    assert len(requests.fold.open()) == 3
    assert len(requests.events()) == 20
    requests.get("huge", tag="1.0")
    assert len(requests.fold.open()) == 1
    assert len(requests.events()) == 1


def test_a_blob_that_a_cut_outline_does_not_name(requests: Requests) -> None:
    """Belongs to the pull all the same: it is asked for behind a manifest that names more than is told."""
    requests.outlines[name("huge")] = Outline(blobs=(short(name("layer")),), cut=True)
    requests.get("huge", tag="1.0")
    requests.blob(name("layer"))
    requests.blob(name("beyond"))
    (event,) = requests.events()
    assert (event.warm_blobs, event.bytes_sent, event.completed) == (2, 2100, True)


def test_what_goes_on_in_another_process(requests: Requests) -> None:
    """The state of an open command is enough to go on with it."""
    requests.head()
    requests.get()
    requests.get("a")
    state = [type(command).restore(command.state()) for command in requests.fold.changed()]
    requests.fold.end()
    requests.fold = Fold()
    requests.fold.restore(state)
    requests.image()
    (event,) = requests.events()
    assert (event.id, event.tag, event.platform, event.warm_blobs) == (f"{1:032x}", "1.0", "linux/amd64", 3)
