"""Commands at once are told apart, whoever makes them, in as much room as there is, by any process."""

from dataplane.events.fold import Fold
from dataplane.events.records import Outline, short
from tests.unit.dataplane.events.requests import CLIENT, DOCKER, SKOPEO, Requests, name


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
