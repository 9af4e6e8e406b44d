"""The tables in the README: of all rows those that tell most, a table for each workload."""

import re
from collections.abc import Sequence
from typing import Final

from tests.bench.figures import significant
from tests.bench.report import Row

BEGIN: Final = "<!-- benchmarks -->"
END: Final = "<!-- /benchmarks -->"
# Names of rows, in the order of the tables.
SHOWN: Final = (
    r"warm_blobs: (1|100|1024) MiB, 8 connections: (throughput|CPU)",
    r"two_workers: (1|100) MiB, 8 connections, .*: throughput",
    r"tls: 100 MiB, .*: (throughput|CPU)",
    r"warm_manifests: (GET|HEAD) by (tag|digest), 16 connections: (rate|CPU)",
    r"manifest_checks: .*: (rate|CPU)",
    r"manifests_during_fill: .*: (p99|fill)",
    r"cold_blob: .*: (throughput|CPU|median first byte|upstream bytes|upstream requests)",
    r"image: .*: pull",
    r"connections: .*: memory",
    r"s3\w*: .*: .*",
)
_ABBREVIATIONS: Final = {"s3": "S3", "tls": "TLS"}
_HEAD: Final = """\
In a peer's column stands its figure, then Penstock's divided by it, with the lowest and the highest of the
rounds. Figures are medians of interleaved rounds, ratios formed within each, in a network namespace with
cubic or reno. One process each, on a core of its own, where a line says nothing else; all cores in cold runs
and crowds. Authentication, entitlement checks, metrics and the recording of pulls are on.
[How it is done](tests/bench/README.md).
"""


def written(text: str, rows: Sequence[Row], plot: str) -> str:
    """Give the README with the tables of these rows, and a link to the plot.

    Raises ValueError where the README has no place for it, or where there is nothing to show.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{_HEAD}\n{tables(rows)}\n\n![The same as bars]({plot})\n{END}{after}"


def select(rows: Sequence[Row]) -> list[Row]:
    """Give the rows that are shown, in their order; raises ValueError where there is none."""
    shown = [row for pattern in SHOWN for row in rows if re.fullmatch(pattern, row["name"])]
    if not shown:
        raise ValueError("there is no row that the README shows")
    return shown


def tables(rows: Sequence[Row]) -> str:
    """Give a Markdown table for each workload: a line for each figure, a column for each peer."""
    shown = select(rows)
    workloads = dict.fromkeys(_workload(row) for row in shown)
    return "\n\n".join(
        _table(workload, [row for row in shown if _workload(row) == workload]) for workload in workloads
    )


def _workload(row: Row) -> str:
    return row["name"].partition(": ")[0]


def _table(workload: str, rows: Sequence[Row]) -> str:
    peers = [peer for peer in dict.fromkeys(row["peer"] for row in rows) if peer]
    title = _ABBREVIATIONS.get(workload) or workload.replace("_", " ").capitalize()
    lines = ["| " + " | ".join((title, "Penstock", *peers)) + " |", "|---" * (len(peers) + 2) + "|"]
    for name in dict.fromkeys(row["name"] for row in rows):
        by_peer = {row["peer"]: row for row in rows if row["name"] == name}
        first = next(iter(by_peer.values()))
        label = f"{name.partition(': ')[2]}, {first['unit']}"
        cells = [_beside(by_peer[peer]) if peer in by_peer else "" for peer in peers]
        lines.append("| " + " | ".join((label, significant(first["value"]), *cells)) + " |")
    return "\n".join(lines)


def _beside(row: Row) -> str:
    value, ratio, spread = row["peer_value"], row["ratio"], row["spread"]
    if value is None:
        return ""
    if ratio is None or spread is None:
        return significant(value)
    lowest, highest = map(significant, spread)
    return f"{significant(value)}: {significant(ratio)}x [{lowest}-{highest}]"
