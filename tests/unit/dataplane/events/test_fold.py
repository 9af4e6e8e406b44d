"""Requests to pulls, by the rules of docs/analytics.md: what each client sends, as it was recorded."""

from dataplane.events.event import Event
from dataplane.events.fold import WINDOW
from dataplane.events.records import Kind, Outline, short
from tests.unit.dataplane.events.requests import DOCKER, SKOPEO, Requests, name


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
