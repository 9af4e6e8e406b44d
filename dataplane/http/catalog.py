"""Answers to `_catalog`, which registries at large have: the repositories that somebody may see."""

import json
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from dataplane.http.message import Answer, Headers
from dataplane.http.target import Catalog

_PAGE: Final = 1000
# A larger `n` gets this many, and a Link to the rest.
_MAX_PAGE: Final = 10_000


def limit_of(target: Catalog) -> int:
    """Give how many names the answer has at most."""
    return _PAGE if target.limit is None else min(target.limit, _MAX_PAGE)


def answer(target: Catalog, names: Sequence[str], *, more: bool) -> Answer:
    """Answer with a page, and a Link to the next one where there are more."""
    headers: Headers = (("Content-Type", "application/json"),)
    if more and names:
        query = urlencode({"n": limit_of(target), "last": names[-1]})
        headers = (*headers, ("Link", f'</v2/_catalog?{query}>; rel="next"'))
    return Answer.whole(200, headers, json.dumps({"repositories": names}).encode())
