"""Metrics, and the rules, dashboards and documents that are about them, agree."""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy import dashboards
from tests.servers import http
from tests.servers.penstock import Penstock
from tests.servers.requirement import ROOT, debian

pytestmark = pytest.mark.real

RULES = ROOT / "deploy" / "prometheus"
DOCUMENT = ROOT / "docs" / "metrics.md"
_METRIC = re.compile(r"\bpenstock_[a-z0-9_]+")
_ROW = re.compile(r"^\| `(penstock_[a-z0-9_]+)` \|", re.MULTILINE)
# A node of one process, as on a machine with one core, has none of them.
_OF_SEVERAL = {
    "penstock_node_workers",
    "penstock_node_worker_hangs_total",
    "penstock_node_worker_restarts_total",
}
# What Prometheus makes of a histogram.
_PARTS = ("_bucket", "_sum", "_count")


@pytest.fixture(scope="module")
def expositions(penstock: Penstock) -> list[str]:
    """What a control plane and a node tell, when its workers have told theirs."""
    deadline = time.monotonic() + 60
    while True:
        found = [
            http.request(address, "GET", "/metrics").body.decode()
            for address in (penstock.http, penstock.node)
        ]
        if "penstock_node_config_age_seconds" in found[1] or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def promtool() -> Path:
    """Prometheus' tool."""
    return debian("promtool", "prometheus")


def _names(expositions: list[str]) -> set[str]:
    """Gives every metric as queries name it."""
    names = set()
    for text in expositions:
        for family in text_string_to_metric_families(text):
            suffix = "_total" if family.type == "counter" else ""
            names.add(f"{family.name}{suffix}")
    return {name for name in names if name.startswith("penstock_")}


def _whole(name: str) -> str:
    for part in _PARTS:
        name = name.removesuffix(part)
    return name


def test_metrics_are_as_prometheus_wants_them(expositions: list[str], promtool: Path) -> None:
    """Names, units and help; promtool has nothing to say of either plane."""
    for text in expositions:
        checked = subprocess.run(
            [promtool, "check", "metrics"],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_rules_are_good_and_do_what_they_say(promtool: Path) -> None:
    """Each alert is quiet before its time, and then says what it should."""
    for command in (
        ["check", "rules", "recording.yml", "alerts.yml"],
        ["test", "rules", "rules_test.yml"],
    ):
        done = subprocess.run(
            [promtool, *command], cwd=RULES, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test() -> None:
    """One that was never seen to fire may never do so."""
    alerts = set(re.findall(r"alert: (\w+)", (RULES / "alerts.yml").read_text()))
    tested = set(re.findall(r"alertname: (\w+)", (RULES / "rules_test.yml").read_text()))
    assert alerts == tested


def _expressions() -> dict[str, str]:
    found = {path.name: path.read_text() for path in (RULES / "recording.yml", RULES / "alerts.yml")}
    for path in dashboards.FOLDER.glob("*.json"):
        board: dict[str, Any] = json.loads(path.read_text())
        queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        queries += [variable["query"] for variable in board["templating"]["list"]]
        found[path.name] = "\n".join(queries)
    return found


def test_what_rules_and_dashboards_name_exists(expositions: list[str]) -> None:
    """Every metric is one that a plane has, and every recorded series one that a rule records."""
    names = _names(expositions) | _OF_SEVERAL
    recorded = set(re.findall(r"record: (\S+)", (RULES / "recording.yml").read_text()))
    for source, text in _expressions().items():
        unknown = {name for name in _METRIC.findall(text) if _whole(name) not in names}
        assert not unknown, source
        assert set(re.findall(r"\bpenstock:[a-z0-9_:]+", text)) <= recorded, source


def test_the_document_describes_what_exists(expositions: list[str]) -> None:
    """Every metric has its row, and every row its metric."""
    described = _ROW.findall(DOCUMENT.read_text())
    assert sorted(described) == sorted(_names(expositions) | _OF_SEVERAL)


def test_the_document_describes_what_rules_and_dashboards_name() -> None:
    """Whoever reads an alert or looks at a panel finds what its metrics say."""
    described = set(_ROW.findall(DOCUMENT.read_text()))
    for source, text in _expressions().items():
        unknown = {name for name in _METRIC.findall(text) if _whole(name) not in described}
        assert not unknown, source


def test_dashboards_are_what_their_source_says() -> None:
    """Nobody edits the JSON by hand, and each panel has its place."""
    for path, text in dashboards.rendered().items():
        assert path.read_text() == text
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in json.loads(text)["panels"]]
        assert len(set(places)) == len(places)
