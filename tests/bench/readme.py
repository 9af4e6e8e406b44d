"""The table in the README: of all rows those that tell most, one line for each case and figure."""

import re
from collections.abc import Sequence
from typing import Final

from tests.bench.figures import significant
from tests.bench.report import Row

BEGIN: Final = "<!-- benchmarks -->"
END: Final = "<!-- /benchmarks -->"
# Names of rows, in the order of the table.
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
_HEAD: Final = """\
Figures of Penstock; in each peer's column the peer's, and in brackets Penstock's divided by it. They are
medians of interleaved runs, with ratios formed within each round, in a network namespace with cubic or reno.
One process each, on a core of its own, where a line says nothing else; all cores in cold runs and crowds.
Authentication, entitlement checks, metrics and the recording of pulls are on.
[How it is done](tests/bench/README.md).
"""


def written(text: str, rows: Sequence[Row], plot: str) -> str:
    """Give the README with the table of these rows, and a link to the plot.

    Raises ValueError where the README has no place for it, or where there is nothing to show.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{_HEAD}\n{table(rows)}\n\n![The same as bars]({plot})\n{END}{after}"


def table(rows: Sequence[Row]) -> str:
    """Give the Markdown table: a line for each figure, a column for each peer."""
    names = [row["name"] for pattern in SHOWN for row in rows if re.fullmatch(pattern, row["name"])]
    lines = {name: [row for row in rows if row["name"] == name] for name in names}
    if not lines:
        raise ValueError("there is no row that the README shows")
    peers = list(dict.fromkeys(row["peer"] for found in lines.values() for row in found if row["peer"]))
    parts = ["| " + " | ".join(("", "Penstock", *peers)).lstrip() + " |", "|---" * (len(peers) + 2) + "|"]
    for name, found in lines.items():
        by_peer = {row["peer"]: row for row in found}
        cells = [_beside(by_peer[peer]) if peer in by_peer else "" for peer in peers]
        first = found[0]
        workload, _, what = name.partition(": ")
        label = f"{workload.replace('_', ' ')}: {what}, {first['unit']}"
        parts.append(f"| {label} | {significant(first['value'])} | {' | '.join(cells)} |")
    return "\n".join(parts)


def _beside(row: Row) -> str:
    value, ratio = row["peer_value"], row["ratio"]
    if value is None:
        return ""
    return significant(value) + ("" if ratio is None else f" ({significant(ratio)}x)")
