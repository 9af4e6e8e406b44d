"""A plain HTTP client for the tests: sends exactly the path it is given, follows nothing, retries nothing."""

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error code of an OCI error body, which must have exactly the specification's form."""
        errors = self.json()["errors"]
        assert errors, f"no error in {self.body!r}"
        return str(errors[0]["code"])


def basic(password: str, user: str = "test") -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def request(
    address: str,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: float = 60,
    tls: ssl.SSLContext | None = None,
    source: str = "",
) -> Answer:
    """One request on a connection of its own to `address` (host:port); `timeout` in seconds of silence.

    It comes from the address `source`, where one is given: all of 127.0.0.0/8 is this machine. With `tls`
    it is https. A body that is cut short raises http.client.IncompleteRead.
    """
    host, _, port = address.rpartition(":")
    connection = (
        http.client.HTTPConnection(
            host, int(port), timeout=timeout, source_address=(source, 0) if source else None
        )
        if tls is None
        else http.client.HTTPSConnection(host, int(port), timeout=timeout, context=tls)
    )
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def answers(address: str, path: str, *, status: int = 200, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a GET of `path` is answered with `status` now."""
    try:
        return request(address, "GET", path, timeout=5, tls=tls).status == status
    except (OSError, http.client.HTTPException):
        return False
