"""What is read from /proc and from nginx's access log."""

import os

import pytest

from tests.bench import machine
from tests.bench.servers.nginx import Sent, parse_sent


@pytest.mark.parametrize("name", ["nginx", "tmux: server", "a) S 7 (b"])
def test_parent_is_found_whatever_the_program_is_called(name: str) -> None:
    """The name stands in brackets and may hold brackets and spaces itself."""
    assert machine.parent_of(f"4242 ({name}) S 17 4242 4242 0 -1 4194304 100") == 17


def test_anonymous_memory_is_read_in_bytes() -> None:
    """File pages, which are everybody's, do not count; a kernel thread has none."""
    status = "Name:\tnginx\nVmRSS:\t   9000 kB\nRssAnon:\t    1234 kB\nRssFile:\t    5678 kB\n"
    assert machine.anonymous_of(status) == 1234 * 1024
    assert machine.anonymous_of("Name:\tkthreadd\n") == 0


def test_busy_time_leaves_out_idle_and_waiting() -> None:
    """Ten ticks in each column that counts, more in the two that do not."""
    stat = "cpu  10 10 10 99999 88888 10 10 10 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
    assert machine.busy_of(stat) == pytest.approx(60 / os.sysconf("SC_CLK_TCK"))


def test_growth_counts_a_process_that_came_later_whole() -> None:
    """And one that has gone not at all, as nobody can say any more what it did."""
    assert machine.growth({1: 5.0, 2: 1.0}, {1: 6.5, 3: 0.25}) == pytest.approx(1.75)


def test_a_process_is_in_its_own_family_and_its_time_is_known() -> None:
    """The account of this very process, which has certainly run."""
    assert os.getpid() in machine.with_descendants(os.getpid())
    assert machine.cpu_seconds([os.getpid()])[os.getpid()] > 0


def test_a_process_that_has_gone_has_no_account() -> None:
    """Servers may lose a worker between two readings."""
    assert machine.cpu_seconds([2**22 + 1]) == {}
    assert machine.anonymous_memory([2**22 + 1]) == 0


def test_access_log_lines_tell_what_was_sent() -> None:
    """The format that the upstream's configuration asks for."""
    line = "GET /v2/bench/app/blobs/sha256:ab 206 1048576"
    assert parse_sent(line) == Sent("GET", "/v2/bench/app/blobs/sha256:ab", 206, 1048576)
