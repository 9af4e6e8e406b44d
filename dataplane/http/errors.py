"""What a client is told when it cannot have what it asked for: one table of codes, one rendering."""

import json
import math
from enum import StrEnum

from dataplane.http.message import Answer, Headers


class Code(StrEnum):
    """Error codes of the OCI distribution specification and, in the second group, of registries at large."""

    BLOB_UNKNOWN = "BLOB_UNKNOWN"
    BLOB_UPLOAD_UNKNOWN = "BLOB_UPLOAD_UNKNOWN"
    DIGEST_INVALID = "DIGEST_INVALID"
    MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
    NAME_INVALID = "NAME_INVALID"
    NAME_UNKNOWN = "NAME_UNKNOWN"
    TOOMANYREQUESTS = "TOOMANYREQUESTS"
    UNAUTHORIZED = "UNAUTHORIZED"
    UNSUPPORTED = "UNSUPPORTED"

    PAGINATION_NUMBER_INVALID = "PAGINATION_NUMBER_INVALID"
    RANGE_INVALID = "RANGE_INVALID"
    UNAVAILABLE = "UNAVAILABLE"
    UNKNOWN = "UNKNOWN"
    UPSTREAM_DENIED = "UPSTREAM_DENIED"
    UPSTREAM_INVALID = "UPSTREAM_INVALID"


_STATUS = {
    Code.BLOB_UNKNOWN: 404,
    Code.BLOB_UPLOAD_UNKNOWN: 404,
    Code.DIGEST_INVALID: 400,
    Code.MANIFEST_UNKNOWN: 404,
    Code.NAME_INVALID: 400,
    Code.NAME_UNKNOWN: 404,
    Code.TOOMANYREQUESTS: 429,
    Code.UNAUTHORIZED: 401,
    Code.UNSUPPORTED: 405,
    Code.PAGINATION_NUMBER_INVALID: 400,
    Code.RANGE_INVALID: 416,
    Code.UNAVAILABLE: 503,
    Code.UNKNOWN: 500,
    Code.UPSTREAM_DENIED: 502,
    Code.UPSTREAM_INVALID: 502,
}

_DEFAULT_RETRY_AFTER = 5.0


class Refusal(Exception):
    """An error that the client is told; `str()` is the message, one sentence.

    `retry_after` is in seconds, and goes with TOOMANYREQUESTS and UNAVAILABLE, which always say when
    to come back. `status` overrules the code's own.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        status: int | None = None,
        headers: Headers = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = _STATUS[code] if status is None else status
        self.headers = headers
        self.retry_after = retry_after

    def answer(self) -> Answer:
        """Render as the specification's JSON error body, with the headers that belong to the code."""
        error = {"code": self.code.value, "message": str(self), "detail": None}
        body = json.dumps({"errors": [error]}).encode()
        headers = (("Content-Type", "application/json"), *self.headers)
        if self.code in (Code.TOOMANYREQUESTS, Code.UNAVAILABLE):
            seconds = _DEFAULT_RETRY_AFTER if self.retry_after is None else self.retry_after
            headers = (*headers, ("Retry-After", str(max(1, math.ceil(seconds)))))
        return Answer.whole(self.status, headers, body)
