"""A control plane that answers what it is told to, on a real socket, and keeps what it was asked."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # they ship no types

from penstock.v1 import (
    artifact_pb2,
    audit_pb2,
    credential_pb2,
    customer_pb2,
    entitlement_pb2,
    node_pb2,
    organization_pb2,
    pull_pb2,
    user_pb2,
)

_FILES = (
    artifact_pb2,
    audit_pb2,
    credential_pb2,
    customer_pb2,
    entitlement_pb2,
    node_pb2,
    organization_pb2,
    pull_pb2,
    user_pb2,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply that is an error, with the details that a control plane gives; without a reason, with none."""

    code: grpc.StatusCode
    sentence: str
    reason: str = ""
    violations: Sequence[tuple[str, str]] = ()
    retry_after: int = 0

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        if not self.reason:
            return ()
        status = status_pb2.Status(code=self.code.value[0], message=self.sentence)
        status.details.add().Pack(
            error_details_pb2.ErrorInfo(reason=self.reason, domain="penstock.dev", metadata={"kind": "test"})
        )
        if self.violations:
            bad = error_details_pb2.BadRequest()
            for field, description in self.violations:
                bad.field_violations.add(field=field, description=description)
            status.details.add().Pack(bad)
        if self.retry_after:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromSeconds(self.retry_after)
            status.details.add().Pack(retry)
        return (("grpc-status-details-bin", status.SerializeToString()),)


@dataclass(frozen=True, slots=True)
class Silence:
    """No reply, as long as the caller waits."""


Reply = Message | Refusal | Silence | Sequence[Message | Refusal]
"""For a stream: the messages in turn, and an error where it breaks."""


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked: the method, `CreateUser`, and what came with it."""

    method: str
    request: Any
    metadata: dict[str, str | bytes]
    # Seconds that the caller waits for an answer; None for ever.
    patience: float | None


class ScriptedApi:
    """All services of the API. Each method gives its replies in turn, and the last one again and again."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.address = ""
        self._replies: dict[str, list[Reply]] = defaultdict(list)
        self._server: grpc.aio.Server | None = None

    def answer(self, method: str, *replies: Reply) -> None:
        """Set what the method answers from now on."""
        self._replies[method] = list(replies)

    def forget(self) -> None:
        """Drop all replies, and what was asked."""
        self._replies.clear()
        self.calls.clear()

    def requests(self, method: str) -> list[Any]:
        """What this method was asked, so far."""
        return [call.request for call in self.calls if call.method == method]

    async def start(self) -> None:
        self._server = grpc.aio.server()
        for file in _FILES:
            for service in file.DESCRIPTOR.services_by_name.values():
                handlers = {method.name: self._handler(method) for method in service.methods}
                self._server.add_generic_rpc_handlers(
                    (grpc.method_handlers_generic_handler(service.full_name, handlers),)
                )
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        if self._server:
            await self._server.stop(None)

    def _handler(self, method: MethodDescriptor) -> grpc.RpcMethodHandler:
        coders: dict[str, Callable[..., Any]] = {
            "request_deserializer": GetMessageClass(method.input_type).FromString,
            "response_serializer": GetMessageClass(method.output_type).SerializeToString,
        }

        async def unary(request: Message, context: grpc.aio.ServicerContext) -> Message:
            reply = self._next(method.name, request, context)
            if isinstance(reply, Silence):
                await asyncio.Event().wait()
            if isinstance(reply, Refusal):
                await _refuse(reply, context)
            assert isinstance(reply, Message), f"{method.name} is not a stream"
            return reply

        async def stream(request: Message, context: grpc.aio.ServicerContext) -> AsyncIterator[Message]:
            reply = self._next(method.name, request, context)
            for part in reply if isinstance(reply, list | tuple) else (reply,):
                if isinstance(part, Refusal):
                    await _refuse(part, context)
                yield part

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, **coders)
        return grpc.unary_unary_rpc_method_handler(unary, **coders)

    def _next(self, method: str, request: Message, context: grpc.aio.ServicerContext) -> Reply:
        metadata = {str(key): value for key, value in context.invocation_metadata() or ()}
        self.calls.append(Call(method, request, metadata, context.time_remaining()))
        replies = self._replies[method]
        if not replies:
            return Refusal(grpc.StatusCode.UNIMPLEMENTED, f"{method} was not scripted")
        return replies.pop(0) if len(replies) > 1 else replies[0]


@asynccontextmanager
async def served() -> AsyncIterator[ScriptedApi]:
    """Serve in the running event loop."""
    api = ScriptedApi()
    await api.start()
    try:
        yield api
    finally:
        await api.stop()


@contextmanager
def served_aside() -> Iterator[ScriptedApi]:
    """Serve in a thread of its own, for callers that run an event loop themselves."""
    api = ScriptedApi()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="scripted-api")
    thread.start()

    def call(work: Awaitable[None]) -> None:
        asyncio.run_coroutine_threadsafe(_as_coroutine(work), loop).result(timeout=30)

    try:
        call(api.start())
        yield api
    finally:
        call(api.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work


async def _refuse(refusal: Refusal, context: grpc.aio.ServicerContext) -> None:
    await context.abort(refusal.code, refusal.sentence, refusal.trailing_metadata())
