"""Records on their way from a worker: in pieces, and within bounds where nobody takes them."""

from dataplane.events import parcels
from dataplane.events.noted import Noted
from dataplane.events.parcels import Parcel, Stock, pack
from dataplane.events.records import Client, Kind, Outline, Record

CLIENT = Client("token", "user", "", "organization", "artifact", "10.0.0.1")
OUTLINE = Outline((("sha256:a", "linux/amd64"),), tuple(f"{number:016x}" for number in range(1000)), cut=True)


def record(number: int, outline: Outline = Outline()) -> Record:  # noqa: B008 - a value
    """One that is told apart by its time."""
    return Record(Kind.GET, number, number, CLIENT, "docker/20", "sha256:x", "1.0", outline=outline)


def test_records_are_unpacked_as_they_were_packed() -> None:
    """In their order, in parcels of a bounded size, each with how many it has."""
    records = [record(number, OUTLINE) for number in range(100)]
    packed = list(pack(records))
    assert len(packed) > 1
    assert all(len(parcel.content) < 2 * parcels._FULL for parcel in packed)
    assert [one for parcel in packed for one in parcel.records()] == records
    assert [parcel.size for parcel in packed] == [len(parcel.records()) for parcel in packed]
    assert list(pack([])) == []


def test_a_stock_keeps_the_newest() -> None:
    """By bytes; what is dropped is counted in records, and what was taken is gone."""
    stock = Stock(most=1000)
    for number in range(30):
        stock.put(Parcel(number, b"x" * 100))
    assert stock.lost == sum(range(20))
    assert [parcel.size for parcel in stock.take()] == list(range(20, 30))
    assert list(stock.take()) == []
    for number in range(10):
        stock.put(Parcel(number, b"x" * 100))
    assert stock.lost == sum(range(20))


def test_what_is_not_folded_is_bounded_by_what_it_names() -> None:
    """And by how many there are: the oldest go, and are counted."""
    noted = Noted(most=50, most_names=10_000)
    noted.put(record(number) for number in range(60))
    assert (noted.lost, len(noted.take())) == (10, 50)
    noted.put(record(number, OUTLINE) for number in range(20))
    assert noted.lost == 10 + 11
    assert [one.at for one in noted.take()] == list(range(11, 20))
    noted.put([record(0, OUTLINE)])
    assert noted.lost == 10 + 11
