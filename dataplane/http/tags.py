"""Answers to `tags/list` (distribution specification, "Listing Tags")."""

import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

from dataplane.http.message import Answer, Headers, Pieces, Request
from dataplane.http.target import Tags
from dataplane.resolve.taglist import TagList, TagPage

# A larger `n` gets this many, and a Link to the rest, as the specification allows.
MAX_PAGE: Final = 10_000


def answer(request: Request, target: Tags, tags: TagList) -> Answer:
    """Answer with the page that was asked for, and a Link to the next one where there is more."""
    limit = None if target.limit is None else min(target.limit, MAX_PAGE)
    page = tags.page(limit, target.last)
    headers: Headers = (("Content-Type", "application/json"),)
    if page.more and page.count:
        query = urlencode({"n": limit, "last": page.last})
        headers = (*headers, ("Link", f'</v2/{target.repository}/tags/list?{query}>; rel="next"'))
    start = f'{{"name":{json.dumps(target.repository)},"tags":['.encode()
    # Each line feed becomes a pair of quotes, and a comma between two.
    length = len(start) + len(page.lines) + max(0, 2 * page.count - 1) + 2
    return Answer(200, headers, b"" if request.method == "HEAD" else Pieces(_chunks(start, page)), length)


def _chunks(start: bytes, page: TagPage) -> Iterator[bytes]:
    for piece in page.pieces():
        # The grammar of tags leaves nothing that JSON would escape.
        yield start + b'"' + piece[:-1].replace(b"\n", b'","') + b'"'
        start = b","
    yield b"]}" if page.count else start + b"]}"
