"""Answers REST requests by calling the methods that gRPC calls, through the same gate."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from tornado.iostream import StreamClosedError

from clients.process import proxies, tracing
from clients.process import request_id as request_ids
from controlplane.api.errors import ApiError, Violation, invalid
from controlplane.api.gate import Gate
from controlplane.api.translate import translate
from controlplane.web import errors
from controlplane.web.handler import Handler
from controlplane.web.rest.routes import Route, Routes

_MOST_PARAMETERS = 100


class Rest(Handler):
    """Everything below `/api/v1`.

    A method that streams is answered with a line of JSON for each message, `{"result": ...}`, and for an
    error in between `{"error": ...}` on the last line.
    """

    route = "none"
    """The method that answered, for metrics."""

    def initialize(self, routes: Routes, gate: Gate, certified: bool) -> None:
        """Take what is served, who admits, and whether that takes a certificate of the client."""
        self._routes = routes
        self._gate = gate
        self._certified = certified

    def prepare(self) -> None:
        """Refuse clients without a certificate where they need one, before they learn anything."""
        if self._certified and not self.request.get_ssl_certificate():
            self.fail(
                ApiError(
                    grpc.StatusCode.PERMISSION_DENIED,
                    "CLIENT_CERTIFICATE_REQUIRED",
                    "This control plane wants a certificate of its clients, beside the token: show one that"
                    " it knows who signed.",
                )
            )

    async def get(self) -> None:
        """Answer, like the others, with what the method that the path stands for gives."""
        await self._answer()

    head = post = patch = put = delete = options = get

    async def _answer(self) -> None:
        verb = "GET" if self.request.method == "HEAD" else str(self.request.method)
        path = self.request.path
        found = self._routes.find(verb, path)
        if found is None:
            self.write_error(
                HTTPStatus.METHOD_NOT_ALLOWED if self._routes.verbs(path) else HTTPStatus.NOT_FOUND
            )
            return
        route, values = found
        self.route = route.method.lstrip("/")
        request_id = request_ids.well_formed(self.request.headers.get(request_ids.HEADER, ""))
        if request_id:
            self.set_header(request_ids.HEADER, request_id)
        parent = self.request.headers.get(tracing.HEADER, "")
        asked = {"http.request.method": verb}
        with request_ids.answering(request_id), tracing.go_on(self.route, parent, asked) as span:
            await self._call(route, values)
            status = self.get_status()
            span.set({"http.response.status_code": status})
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                span.fail(HTTPStatus(status).name)

    async def _call(self, route: Route, values: Mapping[str, str]) -> None:
        try:
            # Before the request is read: who has no token learns nothing of its fields.
            caller = await self._gate.admit(
                route.method, self.request.headers.get("Authorization", ""), self._address
            )
            request = route.binding.request(values, self._query(), self.request.body)
            with self._gate.answering(route.method, request, caller, self._address):
                if route.binding.method.server_streaming:
                    await self._stream(route, request)
                else:
                    answer = await getattr(route.servicer, route.binding.method.name)(request, None)
                    self.finish(_json(answer))
        except StreamClosedError:
            return
        except Exception as error:  # noqa: BLE001 - the last place that can tell the caller
            self.fail(translate(route.method, error))

    async def _stream(self, route: Route, request: Message) -> None:
        messages: AsyncIterator[Message] = getattr(route.servicer, route.binding.method.name)(request, None)
        begun = False
        # It may go on for as long as anybody watches.
        self._under_way.discard(self.request)
        async with aclosing(messages) as answers:  # type: ignore[type-var]  # servicers write generators
            try:
                async for message in answers:
                    # The token may have been revoked since, as on the gRPC port.
                    await self._gate.admit(
                        route.method, self.request.headers.get("Authorization", ""), self._address
                    )
                    begun = True
                    self.write(f'{{"result": {_json(message)}}}\n')
                    await self.flush()
            except StreamClosedError:
                raise
            except Exception as error:
                if not begun:
                    raise
                self.write(f'{{"error": {errors.body(translate(route.method, error))}}}\n')
        self.finish()

    @property
    def _address(self) -> str:
        forwarded = self.request.headers.get(proxies.HEADER, "")
        return self._gate.address(str(self.request.remote_ip), forwarded)

    def _query(self) -> dict[str, list[str]]:
        try:
            return parse_qs(
                self.request.query,
                keep_blank_values=True,
                strict_parsing=bool(self.request.query),
                max_num_fields=_MOST_PARAMETERS,
                errors="strict",
            )
        except ValueError as error:
            raise invalid(
                [Violation("query", "cannot be read: write it as name=value&name=value.")]
            ) from error

    def _taken(self) -> list[str]:
        verbs = self._routes.verbs(self.request.path)
        return [*verbs, "HEAD"] if "GET" in verbs else verbs


def _json(message: Message) -> str:
    options: dict[str, Any] = {"indent": None, "always_print_fields_with_no_presence": True}
    return str(json_format.MessageToJson(message, **options))
