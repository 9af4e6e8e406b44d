"""The headers of an answer, those that every answer has included."""

from email.utils import formatdate
from functools import lru_cache
from time import time

from tornado.httputil import HTTPHeaders

from clients.process.request_id import HEADER
from dataplane.http.message import Answer


def head(answer: Answer, request_id: str) -> HTTPHeaders:
    """Give an answer's headers, with length, date, and the id of the request as the last."""
    headers = HTTPHeaders()
    for name, value in answer.headers:
        headers.add(name, value)
    if answer.status != 304:
        headers["Content-Length"] = str(answer.length)
    headers["Date"] = date(int(time()))
    # What was asked for is data, never a page to be guessed at.
    headers["X-Content-Type-Options"] = "nosniff"
    headers[HEADER] = request_id
    return headers


@lru_cache(maxsize=1)
def date(second: int) -> str:
    """Give a second since the epoch as the Date header has it (RFC 9110, section 5.6.7)."""
    return formatdate(second, usegmt=True)
