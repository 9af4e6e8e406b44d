"""Rounds of a case: every server in turn, and one that fails is out without spoiling the others."""

from pathlib import Path

from tests.bench import interleave
from tests.bench.case import Case, Metric, Sample
from tests.bench.content import Site
from tests.bench.load.address import Address
from tests.bench.load.message import LoadFailed
from tests.bench.machine import shared
from tests.bench.servers.server import Server, Setup

RATE = Metric("rate", "requests/s")


class _Server(Server):
    address = Address("127.0.0.1", 1)

    def __init__(self, name: str, site: Site) -> None:
        super().__init__(Setup(site.directory, site, frozenset()))
        self.name = name

    def pids(self) -> set[int]:
        return set()

    def start(self) -> None: ...

    def stop(self) -> None: ...


def test_servers_take_turns_and_a_failure_is_kept_with_its_reason(tmp_path: Path) -> None:
    """A B, A B, A: B fails in the second round, and is neither asked again nor counted."""
    order: list[tuple[str, int]] = []

    def measure(server: Server, number: int) -> Sample:
        order.append((server.name, number))
        if (server.name, number) == ("b", 1):
            raise LoadFailed("the server answered 500")
        return {RATE: float(number)}

    site = Site(tmp_path)
    case = Case("case", shared(), [_Server("a", site), _Server("b", site)], measure)
    result = interleave.run("workload", case, 3, interleave.Bystanders())
    assert order == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2)]
    assert result.values("a", RATE) == [0.0, 1.0, 2.0]
    assert "b" not in result.samples
    assert result.failures == {"b": "the server answered 500"}


def test_a_slow_case_may_ask_for_fewer_rounds(tmp_path: Path) -> None:
    """But never gets more than the benchmark runs."""
    server = _Server("a", Site(tmp_path))
    case = Case("case", shared(), [server], lambda _server, number: {RATE: float(number)}, rounds=2)
    assert len(interleave.run("w", case, 5, interleave.Bystanders()).values("a", RATE)) == 2
    assert len(interleave.run("w", case, 1, interleave.Bystanders()).values("a", RATE)) == 1


def test_a_server_is_left_to_finish_before_the_next_is_measured(tmp_path: Path) -> None:
    """What it still does for clients that have left would be taken from the other's speed."""
    order: list[str] = []

    class _Busy(_Server):
        def wait_until_quiet(self) -> None:
            order.append(f"{self.name} quiet")

    def measure(server: Server, _number: int) -> Sample:
        order.append(server.name)
        return {RATE: 1.0}

    site = Site(tmp_path)
    case = Case("case", shared(), [_Busy("a", site), _Busy("b", site)], measure)
    interleave.run("workload", case, 2, interleave.Bystanders())
    assert order == ["a", "a quiet", "b", "b quiet"] * 2
