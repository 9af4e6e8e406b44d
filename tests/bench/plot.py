"""Draws the subject's ratios to its peers, as bars on a logarithmic scale, in an SVG without any library."""

import math
from collections.abc import Sequence
from html import escape

from tests.bench.report import Row

_LINE = 18
_TEXT = 620
_BARS = 420
# Names in the legend beside each other, and how far apart they begin.
_ABREAST = 5
_APART = 215
_COLOURS = (
    *("#2b6cb0", "#b7791f", "#718096", "#2f855a", "#805ad5"),
    *("#c05621", "#319795", "#97266d", "#1a202c"),
)
_STYLE = (
    "text{font:12px sans-serif;fill:#2d3748} .axis{stroke:#a0aec0} .spread{stroke:#1a202c}"
    " .head{font-weight:bold}"
)


def draw(rows: Sequence[Row]) -> str:
    """Gives the SVG: a bar for each row with a ratio, to the right of 1 where the subject's is larger.

    The thin line across the end of a bar is the spread of its rounds.
    """
    drawn = [row for row in rows if row["ratio"]]
    if not drawn:
        raise ValueError("there is no row with a ratio to draw")
    peers = list(dict.fromkeys(str(row["peer"]) for row in drawn))
    decades = math.ceil(max(max(abs(math.log10(row["ratio"] or 1)) for row in drawn), 0.1))
    middle, scale = _TEXT + _BARS / 2, _BARS / 2 / decades
    top = 2 + math.ceil(len(peers) / _ABREAST)
    height = (len(drawn) + top + 2) * _LINE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_TEXT + _BARS + 80} {height}">',
        f"<style>{_STYLE}</style>",
        f'<text class="head" x="8" y="{_LINE}">{escape(drawn[0]["subject"])} divided by its peers</text>',
    ]
    for index, peer in enumerate(peers):
        x, y = 8 + _APART * (index % _ABREAST), (2 + index // _ABREAST) * _LINE
        parts.append(f'<rect x="{x}" y="{y - 10}" width="10" height="10" fill="{_colour(index)}"/>')
        parts.append(f'<text x="{x + 14}" y="{y}">{escape(peer)}</text>')
    for decade in range(-decades, decades + 1):
        line = middle + decade * scale
        parts.append(f'<path class="axis" d="M{line:.0f} {top * _LINE}V{height - _LINE}"/>')
        parts.append(f'<text text-anchor="middle" x="{line:.0f}" y="{height - 4}">{10.0**decade:g}</text>')
    for number, row in enumerate(drawn):
        y, length = (number + top) * _LINE, math.log10(row["ratio"] or 1) * scale
        colour = _colour(peers.index(str(row["peer"])))
        start, width = middle + min(length, 0), max(abs(length), 1)
        parts.append(f'<text x="8" y="{y + 13}">{escape(row["name"])} ({escape(row["unit"])})</text>')
        parts.append(
            f'<rect x="{start:.1f}" y="{y + 3}" width="{width:.1f}" height="{_LINE - 6}" fill="{colour}">'
            f"<title>{escape(_title(row))}</title></rect>"
        )
        if row["spread"] and row["spread"][0] > 0:
            low, high = (middle + math.log10(each) * scale for each in row["spread"])
            parts.append(f'<path class="spread" d="M{low:.1f} {y + 9}H{high:.1f}"/>')
        parts.append(f'<text x="{_TEXT + _BARS + 8}" y="{y + 13}">{row["ratio"]:.3g}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _title(row: Row) -> str:
    return f"{row['subject']} {row['value']:.4g}, {row['peer']} {row['peer_value']:.4g} {row['unit']}"
