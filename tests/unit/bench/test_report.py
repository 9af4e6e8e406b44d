"""Rows and tables of results."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import plot, report
from tests.bench.case import GENERATOR, Metric, Result
from tests.bench.machine import Placement

RATE = Metric("rate", "requests/s")
COST = Metric("CPU", "us/request", less=True)
_CORES = Placement(frozenset({0}), frozenset({1}))


def _result(**servers: list[dict[Metric, float]]) -> Result:
    return Result("manifests", "GET", _CORES, dict(servers))


def test_rows_compare_the_first_server_with_every_other() -> None:
    """Exactly the fields that readers of bench-results.json rely on."""
    result = _result(
        penstock=[{RATE: 50.0, COST: 20.0, GENERATOR: 0.5}, {RATE: 70.0, COST: 10.0, GENERATOR: 0.5}],
        nginx=[{RATE: 100.0, COST: 10.0, GENERATOR: 0.9}, {RATE: 100.0, COST: 10.0, GENERATOR: 0.9}],
        registry=[{RATE: 1.0}, {RATE: 1.0}],
    )
    assert report.rows([result]) == [
        {
            "name": "manifests: GET: rate",
            "subject": "penstock",
            "peer": "nginx",
            "value": 60.0,
            "peer_value": 100.0,
            "ratio": pytest.approx(0.6),
            "spread": [0.5, 0.7],
            "unit": "requests/s",
        },
        {
            "name": "manifests: GET: rate",
            "subject": "penstock",
            "peer": "registry",
            "value": 60.0,
            "peer_value": 1.0,
            "ratio": 60.0,
            "spread": [50.0, 70.0],
            "unit": "requests/s",
        },
        {
            "name": "manifests: GET: CPU",
            "subject": "penstock",
            "peer": "nginx",
            "value": 15.0,
            "peer_value": 10.0,
            "ratio": 1.5,
            "spread": [1.0, 2.0],
            "unit": "us/request",
        },
    ]


def test_a_row_without_peer_says_so() -> None:
    """The value is still worth keeping."""
    (row,) = report.rows([_result(penstock=[{RATE: 50.0}])])
    assert (row["value"], row["peer"], row["peer_value"], row["ratio"]) == (50.0, None, None, None)


def test_a_case_that_nobody_survived_has_no_rows() -> None:
    """Its table says who failed, and why."""
    result = Result("manifests", "GET", _CORES, {}, {"penstock": "the server answered 500"})
    assert report.rows([result]) == []
    assert "penstock FAILED: the server answered 500" in report.table(result)


def test_table_shows_the_spread_and_which_way_is_better() -> None:
    """A ratio of costs is good when it is small."""
    text = report.table(
        _result(penstock=[{COST: 5.0}, {COST: 7.0}], nginx=[{COST: 10.0}, {COST: 10.0}]),
    )
    assert "6.00 [5.00-7.00]" in text
    assert "penstock / nginx  x 0.600 [0.500-0.700] less is better" in text


def test_ceiling_goes_by_the_run_with_the_least_effort() -> None:
    """100 requests a second for a tenth of a core would be 1,000 for a whole one."""
    result = _result(penstock=[{RATE: 50.0, GENERATOR: 0.5}], nginx=[{RATE: 100.0, GENERATOR: 0.1}])
    assert report.ceiling([result]) == "1,000 requests/s"
    assert report.ceiling([_result(penstock=[{RATE: 50.0}])]) is None


def test_rows_are_kept_as_a_json_list_that_the_plot_reads(tmp_path: Path) -> None:
    """The plot is well-formed and has a bar for each ratio, with its spread."""
    rows = report.rows([_result(penstock=[{RATE: 50.0}], nginx=[{RATE: 100.0}], other=[{RATE: 5.0}])])
    path = tmp_path / "bench-results.json"
    report.write(path, rows)
    assert json.loads(path.read_text()) == rows
    drawn = ElementTree.fromstring(plot.draw(report.read(path)))
    assert len(drawn.findall(".//{*}title")) == 2
    assert len(drawn.findall(".//{*}path[@class='spread']")) == 2


def test_no_results_are_an_empty_list(tmp_path: Path) -> None:
    """What reads the file need not know that nothing ran."""
    path = tmp_path / "bench-results.json"
    report.write(path, [])
    assert report.read(path) == []
