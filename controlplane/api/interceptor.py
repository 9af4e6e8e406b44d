"""What stands in front of every method on the gRPC port."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, Final
from urllib.parse import unquote

import grpc
import grpc.aio

from clients.process import proxies, tracing
from clients.process.request_id import HEADER, answering, well_formed
from controlplane.api.errors import ApiError, unavailable
from controlplane.api.gate import Gate
from controlplane.api.measures import CallMeasures
from controlplane.api.translate import translate

DETAILS_KEY: Final = "grpc-status-details-bin"

_Context = grpc.aio.ServicerContext[Any, Any]


class Front(grpc.aio.ServerInterceptor):
    """Admits the caller, runs the method as them, and renders errors; counts and times.

    A stream ends with UNAUTHENTICATED when its token is revoked, before the next message.
    """

    def __init__(self, gate: Gate, measures: CallMeasures) -> None:
        self._gate = gate
        self._measures = measures
        self._streams: set[asyncio.Task[Any]] = set()
        self._draining = False

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Wrap a method's handler; those that need no token stay as they are."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        # grpc gives None for a method that does not exist, and answers UNIMPLEMENTED by itself.
        if handler is None or self._gate.is_open(method):
            return handler
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(method, handler.unary_unary),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, handler.unary_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        raise NotImplementedError(f"{method} streams requests, and no caller of it would be admitted")

    def drain(self) -> None:
        """End the streams that are open, so that their callers look for another control plane."""
        self._draining = True
        for task in self._streams:
            task.cancel()

    def _unary(self, method: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def call(request: Any, context: _Context) -> Any:
            async with self._answering(method, context, timed=True):
                address = self._address(context)
                caller = await self._gate.admit(method, _authorization(context), address)
                with self._gate.answering(method, request, caller, address):
                    return await inner(request, context)

        return call

    def _stream(self, method: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def call(request: Any, context: _Context) -> None:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self._answering(method, context, timed=False))
                await stack.enter_async_context(self._drained(context))
                authorization = _authorization(context)
                address = self._address(context)
                caller = await self._gate.admit(method, authorization, address)
                stack.enter_context(self._gate.answering(method, request, caller, address))
                messages = await stack.enter_async_context(aclosing(inner(request, context)))
                async for message in messages:
                    await self._gate.admit(method, authorization, address)
                    await context.write(message)

        return call

    def _address(self, context: _Context) -> str:
        return self._gate.address(_peer(context), ",".join(_all_sent(context, proxies.HEADER.lower())))

    @asynccontextmanager
    async def _answering(self, method: str, context: _Context, *, timed: bool) -> AsyncIterator[None]:
        request_id = well_formed(_sent(context, HEADER.lower()))
        traceparent = _sent(context, tracing.HEADER)
        with (
            answering(request_id),
            tracing.go_on(method.lstrip("/"), traceparent, {"rpc.system.name": "grpc"}) as span,
            self._measures.call(method, timed=timed) as outcome,
        ):
            try:
                yield
            except asyncio.CancelledError:
                outcome.code = grpc.StatusCode.CANCELLED
                raise
            except Exception as error:  # noqa: BLE001 - the last place that can tell the caller
                failure = translate(method, error)
                outcome.code = failure.code
                span.set({"rpc.response.status_code": failure.code.name})
                await _abort(context, failure)
            else:
                outcome.code = grpc.StatusCode.OK

    @asynccontextmanager
    async def _drained(self, context: _Context) -> AsyncIterator[None]:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call is answered in a task")
        self._streams.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._draining or context.cancelled():
                raise
            task.uncancel()
            raise unavailable(
                "SHUTTING_DOWN", "The control plane is shutting down: call again.", retry_after=1
            ) from None
        finally:
            self._streams.discard(task)


def _authorization(context: _Context) -> str:
    return _sent(context, "authorization")


def _sent(context: _Context, name: str) -> str:
    return next(_all_sent(context, name), "")


def _all_sent(context: _Context, name: str) -> Iterator[str]:
    for key, value in context.invocation_metadata() or ():
        if key == name:
            yield value if isinstance(value, str) else value.decode("latin-1")


def _peer(context: _Context) -> str:
    """Give the IP address of the peer: gRPC says `ipv4:127.0.0.1:4711` or `ipv6:%5B::1%5D:4711`."""
    family, _, rest = unquote(context.peer()).partition(":")
    return rest.rpartition(":")[0].strip("[]") if family in ("ipv4", "ipv6") else ""


async def _abort(context: _Context, failure: ApiError) -> None:
    status = failure.status()
    await context.abort(
        failure.code, status.message, trailing_metadata=((DETAILS_KEY, status.SerializeToString()),)
    )
