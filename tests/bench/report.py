"""Results for people and for programs: tables on the terminal, rows in bench-results.json."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

from tests.bench.case import GENERATOR, Metric, Result
from tests.bench.figures import Spread, ratio, significant, spread


class Row(TypedDict):
    """One figure of the subject beside a peer's; `ratio` is the median of the ratios within each round.

    `spread` is the lowest and the highest of them.
    """

    name: str
    subject: str
    peer: str | None
    value: float
    peer_value: float | None
    ratio: float | None
    spread: list[float] | None
    unit: str


def rows(results: Iterable[Result]) -> list[Row]:
    """Gives a row for each metric and peer; one without a peer where there is none."""
    found: list[Row] = []
    for result in results:
        if not result.samples:
            continue
        subject, *peers = result.samples
        for metric in filter(lambda metric: metric.compared, result.metrics()):
            if result.values(subject, metric):
                measured = [peer for peer in peers if result.values(peer, metric)]
                found += [_row(result, metric, subject, peer) for peer in measured]
                found += [] if measured else [_row(result, metric, subject, None)]
    return found


def _row(result: Result, metric: Metric, subject: str, peer: str | None) -> Row:
    ours = result.values(subject, metric)
    theirs = result.values(peer, metric) if peer else []
    between = ratio(ours, theirs) if theirs else None
    return {
        "name": f"{result.workload}: {result.case}: {metric.name}",
        "subject": subject,
        "peer": peer,
        "value": spread(ours).median,
        "peer_value": spread(theirs).median if theirs else None,
        "ratio": between.median if between else None,
        "spread": [between.low, between.high] if between else None,
        "unit": metric.unit,
    }


def ceiling(results: Iterable[Result]) -> str | None:
    """Says what the load generator could do with a whole core, by its best run; None if it is not known."""
    best: dict[str, tuple[float, Metric]] = {}
    for result in results:
        for run in (run for runs in result.samples.values() for run in runs if run.get(GENERATOR)):
            metric, value = next(iter(run.items()))
            reachable = value / run[GENERATOR]
            if reachable > best.get(metric.name, (0.0, metric))[0]:
                best[metric.name] = reachable, metric
    if not best:
        return None
    return ", ".join(f"{significant(reachable)} {metric.unit}" for reachable, metric in best.values())


def write(path: Path, found: list[Row]) -> None:
    """Writes the rows, one a line."""
    lines = ",\n".join(json.dumps(row) for row in found)
    path.write_text(f"[\n{lines}\n]\n" if found else "[]\n")


def read(path: Path) -> list[Row]:
    """Reads what `write` wrote."""
    found: list[Row] = json.loads(path.read_text())
    return found


def table(result: Result) -> str:
    """Writes a case: a line for each server, then one for each peer with the subject's ratios to it."""
    metrics = result.metrics()
    lines = [[result.case, *(f"{metric.name} ({metric.unit})" for metric in metrics)]]
    for server in result.samples:
        cells = [_figures(result.values(server, metric)) for metric in metrics]
        lines.append([f"  {server}", *cells])
    subject, *peers = result.samples or [""]
    for peer in peers:
        cells = [_ratio(result, subject, peer, metric) for metric in metrics]
        lines.append([f"  {subject} / {peer}", *cells])
    text = _aligned(lines)
    for server, reason in result.failures.items():
        text += f"\n  {server} FAILED: {reason}"
    return text


def _figures(values: list[float]) -> str:
    return _spread(spread(values)) if values else "-"


def _ratio(result: Result, subject: str, peer: str, metric: Metric) -> str:
    ours, theirs = result.values(subject, metric), result.values(peer, metric)
    if not metric.compared or not ours or not theirs:
        return ""
    between = ratio(ours, theirs)
    if between is None:
        return "-"
    return f"x {_spread(between)}{' less is better' if metric.less else ''}"


def _spread(figures: Spread) -> str:
    return f"{significant(figures.median)} [{significant(figures.low)}-{significant(figures.high)}]"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(padded)
