"""What every route of the HTTP port has in common."""

import math
from http import HTTPStatus
from typing import Any

from tornado.web import RequestHandler

from controlplane.api.errors import ApiError
from controlplane.web import errors


class Handler(RequestHandler):
    """Answers JSON, errors included, that no browser takes for something else."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS")

    def set_default_headers(self) -> None:
        """Say nothing of the server; forbid caching and guessing of types."""
        self.clear_header("Server")
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    def compute_etag(self) -> None:
        """Answers here are never cached."""

    def fail(self, error: ApiError) -> None:
        """Answer with an error."""
        status = errors.http_status(error)
        self.set_status(status)
        if status == HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", 'Bearer realm="penstock"')
        if error.retry_after is not None:
            self.set_header("Retry-After", str(math.ceil(error.retry_after)))
        self.finish(errors.body(error))

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer what no handler took, or broke on."""
        error = errors.for_status(status_code)
        if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(self._taken()))
        self.set_status(status_code)
        self.finish(errors.body(error))

    def _taken(self) -> list[str]:
        missing = RequestHandler._unimplemented_method
        return [
            method
            for method in self.SUPPORTED_METHODS
            if getattr(type(self), method.lower(), missing) is not missing
        ]


class NothingHere(Handler):
    """Every path that has no route."""

    def prepare(self) -> None:
        """Answer 404, whatever the method."""
        self.write_error(HTTPStatus.NOT_FOUND)
