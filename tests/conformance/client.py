"""A plain HTTP client for one repository, and the form that every error must have."""

import itertools
from dataclasses import dataclass

from tests.servers import http

# Specification, "Error codes"; below, what registries at large add for what it has no code for.
SPECIFIED_CODES = frozenset(
    {
        *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DENIED", "DIGEST_INVALID"),
        *("MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN"),
        *("SIZE_INVALID", "TOOMANYREQUESTS", "UNAUTHORIZED", "UNSUPPORTED"),
        *("PAGINATION_NUMBER_INVALID", "RANGE_INVALID"),
    }
)

# Whoever is refused again and again has to wait: each request comes from somewhere else.
_hosts = itertools.cycle(range(1, 255))


@dataclass(frozen=True, slots=True)
class Repository:
    """Requests to one repository, as a client with a token sends them."""

    address: str
    name: str
    token: str

    def ask(self, method: str, path: str, **headers: str) -> http.Answer:
        """Sends a request to a path below the repository; `_` in header names stands for `-`."""
        return self.ask_path(method, f"/v2/{self.name}/{path}", **headers)

    def ask_path(self, method: str, path: str, **headers: str) -> http.Answer:
        """Sends a request to any path of the registry, exactly as it is written."""
        fields = {"Authorization": http.basic(self.token)}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        given = {name: value for name, value in fields.items() if value}
        return http.request(self.address, method, path, headers=given, source=f"127.0.1.{next(_hosts)}")

    def get(self, path: str, **headers: str) -> http.Answer:
        return self.ask("GET", path, **headers)

    def head(self, path: str, **headers: str) -> http.Answer:
        return self.ask("HEAD", path, **headers)


def assert_error(answer: http.Answer, status: int, code: str) -> None:
    """An error as the specification writes it ("Error codes"): status, JSON form, a known code."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    document = answer.json()
    assert set(document) == {"errors"}
    for error in document["errors"]:
        assert error["code"] in SPECIFIED_CODES
        assert set(error) <= {"code", "message", "detail"}
        assert isinstance(error.get("message", ""), str)
    assert answer.code == code
