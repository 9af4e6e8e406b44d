"""Channels to the control plane: TLS, message limits, keep-alive, and the caller's token on every call."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio

from clients.control.renewed import RenewedChannel
from clients.control.target import Target
from clients.control.trust import Certificates, Trust
from clients.process import request_id as request_ids
from clients.process import tracing

MAX_MESSAGE_BYTES: Final = 16 << 20
"""The largest message either side takes; a manifest is at most 4 MiB."""

MAX_METADATA_BYTES: Final = 64 << 10
"""Error details travel as metadata, and list every violation of a request."""

KEEPALIVE_MS: Final = 30_000
"""How often a quiet connection is probed; a server must allow pings this often."""

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds for a unary call that is given no time-out of its own."""

EMPTYING_TIMEOUT: Final = 3600.0
"""Seconds for a call that drops all that artifacts hold: one that is given up half way has been in vain."""

OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A control plane that comes back is found again within two seconds.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # The control plane is part of the installation: proxies for the way out are not for it.
    ("grpc.enable_http_proxy", 0),
)

# What tells traces how calls ended, while it does.
_ENDING: Final[set[asyncio.Task[None]]] = set()


def connect(address: str, token: str, trust: Trust | None = None) -> grpc.aio.Channel:
    """Give a channel to `host:port`, or by TLS to `https://host:port`, that says on every call who calls.

    Nothing is sent before the first call. A unary call without a time-out gets DEFAULT_TIMEOUT;
    streams get none. Raises ValueError for a token that cannot be sent, and ConfigurationError for an
    address that is none, and certificates that cannot be used.
    """
    target, trust = Target.parse(address), trust or Trust()
    trust.check_use(target)
    if not token.isascii() or not token.isprintable():
        raise ValueError("the token holds characters that no token has")
    authorization = f"Bearer {token}"
    interceptors = (_UnaryCaller(authorization), _StreamCaller(authorization))
    where = str(target.address)
    if not target.tls:
        return grpc.aio.insecure_channel(where, options=OPTIONS, interceptors=interceptors)
    name = trust.server_name
    options = (*OPTIONS, ("grpc.ssl_target_name_override", name)) if name else OPTIONS

    def by_tls(certificates: Certificates) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(
            certificates.authorities, certificates.key, certificates.chain
        )
        return grpc.aio.secure_channel(where, credentials, options=options, interceptors=interceptors)

    return RenewedChannel(trust.certificates(), by_tls)


# One class for each kind of call: grpc.aio files an interceptor under the first kind that it is.


class _UnaryCaller(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        timeout = DEFAULT_TIMEOUT if client_call_details.timeout is None else client_call_details.timeout
        return await _call(continuation, client_call_details, request, self._authorization, timeout)


class _StreamCaller(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    async def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        timeout = client_call_details.timeout
        return await _call(continuation, client_call_details, request, self._authorization, timeout)


async def _call(
    continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
    details: grpc.aio.ClientCallDetails,
    request: Any,
    authorization: str,
    timeout: float | None,
) -> Any:
    method = details.method.decode() if isinstance(details.method, bytes) else str(details.method)
    span = tracing.begin_asking(method.lstrip("/"), {"rpc.system.name": "grpc"})
    try:
        call = await continuation(_signed(details, authorization, timeout, span.traceparent), request)
    except BaseException as error:
        span.fail(type(error).__name__)
        span.end()
        raise
    if span.traceparent:
        # Only a task can ask how a call ended; it has, so that this one takes a moment.
        call.add_done_callback(lambda _: _ending(asyncio.ensure_future(_end(span, call))))
    return call


async def _end(span: tracing.Span, call: Any) -> None:
    code = await call.code()
    span.set({"rpc.response.status_code": code.name})
    if code is not grpc.StatusCode.OK:
        span.fail(code.name)
    span.end()


def _ending(task: asyncio.Task[None]) -> None:
    # The loop by itself would let go of it.
    _ENDING.add(task)
    task.add_done_callback(_ENDING.discard)


def _signed(
    details: grpc.aio.ClientCallDetails, authorization: str, timeout: float | None, traceparent: str
) -> grpc.aio.ClientCallDetails:
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    metadata.add("authorization", authorization)
    if request_id := request_ids.current():
        metadata.add(request_ids.HEADER.lower(), request_id)
    if traceparent:
        metadata.add(tracing.HEADER, traceparent)
    return grpc.aio.ClientCallDetails(
        method=details.method,
        timeout=timeout,
        metadata=metadata,
        credentials=details.credentials,
        wait_for_ready=details.wait_for_ready,
    )
