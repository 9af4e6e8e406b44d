"""What every route of the HTTP port has in common."""

import math
from http import HTTPStatus
from typing import Any, Final

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from controlplane.api.errors import ApiError
from controlplane.web import errors

UNDER_WAY: Final = "under_way"
"""The setting of an application with the requests that an answer is made for; a stop waits for these."""


class Handler(RequestHandler):
    """Answers JSON, errors included, that no browser takes for something else."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS")

    def __init__(self, application: Application, request: HTTPServerRequest, **given: Any) -> None:
        super().__init__(application, request, **given)
        self._under_way: set[HTTPServerRequest] = application.settings[UNDER_WAY]
        self._under_way.add(request)

    def on_finish(self) -> None:
        """Be under way no more."""
        self._under_way.discard(self.request)

    def on_connection_close(self) -> None:
        """Be under way no more: nobody waits for the answer."""
        self._under_way.discard(self.request)

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
