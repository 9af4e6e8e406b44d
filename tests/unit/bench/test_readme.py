"""The README's table of benchmarks."""

import pytest

from tests.bench import readme
from tests.bench.report import Row


def _row(name: str, peer: str | None, value: float, peer_value: float | None) -> Row:
    ratio = value / peer_value if peer_value else None
    return {
        "name": name,
        "subject": "penstock",
        "peer": peer,
        "value": value,
        "peer_value": peer_value,
        "ratio": ratio,
        "spread": [ratio / 2, ratio * 2] if ratio else None,
        "unit": "GB/s",
    }


ROWS = [
    _row("image: warm: 12 layers: pull", "nginx", 30, 20),
    _row("warm_blobs: 1 MiB, 8 connections: throughput", "nginx", 2.5, 5),
    _row("warm_blobs: 100 MiB, 8 connections: CPU", "nginx", 4.5, 5),
    _row("warm_blobs: 100 MiB, 8 connections: CPU", "docker-registry", 4.5, 2),
    _row("warm_blobs: 100 MiB, 1 connections: throughput", "nginx", 4, 5),
    _row("connections: 500 slow readers: memory", None, 6, None),
]


def test_each_workload_has_a_table_with_a_line_for_a_figure_and_a_column_for_a_peer() -> None:
    """In the order of what matters; a peer that was not measured has an empty cell, or no column."""
    assert readme.tables(ROWS).splitlines() == [
        "| Warm blobs | Penstock | nginx | docker-registry |",
        "|---|---|---|---|",
        "| 1 MiB, 8 connections: throughput, GB/s | 2.50 | 5.00: 0.500x [0.250-1.00] |  |",
        "| 100 MiB, 8 connections: CPU, GB/s | 4.50 | 5.00: 0.900x [0.450-1.80] | 2.00: 2.25x [1.12-4.50] |",
        "",
        "| Image | Penstock | nginx |",
        "|---|---|---|",
        "| warm: 12 layers: pull, GB/s | 30.0 | 20.0: 1.50x [0.750-3.00] |",
        "",
        "| Connections | Penstock |",
        "|---|---|",
        "| 500 slow readers: memory, GB/s | 6.00 |",
    ]


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    """Writing it a second time changes nothing."""
    text = f"a\n{readme.BEGIN}\nstale figures\n{readme.END}\nb\n"
    written = readme.written(text, ROWS, "docs/x.svg")
    assert written.startswith(f"a\n{readme.BEGIN}\n")
    assert written.endswith(f"![The same as bars](docs/x.svg)\n{readme.END}\nb\n")
    assert "stale figures" not in written
    assert readme.written(written, ROWS, "docs/x.svg") == written


def test_there_must_be_a_place_and_something_to_show() -> None:
    """Rather than a README without figures."""
    with pytest.raises(ValueError, match="benchmarks"):
        readme.written("nothing", ROWS, "x")
    with pytest.raises(ValueError, match="no row"):
        readme.tables([])
