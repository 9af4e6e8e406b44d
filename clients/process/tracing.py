"""What a request does, in all processes, as one trace: spans that cost nothing while nobody wants them.

A trace begins where a client's request comes in, and goes on where its `traceparent` arrives
(https://www.w3.org/TR/trace-context/). What is done without a request belongs to none.
"""

import importlib.util
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import Enum, auto
from typing import Final, Protocol
from urllib.parse import urlsplit

from clients.process.exits import ConfigurationError

HEADER: Final = "traceparent"
"""Of requests over HTTP and calls over gRPC."""
SETTING: Final = "PENSTOCK_TRACING_ENDPOINT"
DESCRIPTION: Final = (
    "URL of an OpenTelemetry collector that takes traces by OTLP over HTTP, like `http://127.0.0.1:4318`;"
    " without it, nothing is traced. The packages of the extra `tracing` must be installed; headers and"
    " sampling are set by OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_HEADERS`,"
    " `OTEL_TRACES_SAMPLER`)"
)
"""The line of the setting in the README."""
_PATH: Final = "/v1/traces"

Attributes = Mapping[str, str | int]


class Kind(Enum):
    """Which side of a request a span is."""

    SERVER = auto()
    CLIENT = auto()


class Span(Protocol):
    """Something that takes a while."""

    @property
    def traceparent(self) -> str:
        """What tells others to go on with this span's trace; empty where nothing is traced."""
        ...

    def name(self, name: str) -> None:
        """Give it a better name: one of a few, since traces are grouped by them."""
        ...

    def set(self, attributes: Attributes) -> None:
        """Say more of it."""
        ...

    def fail(self, why: str) -> None:
        """Note that it went wrong, in a word that tells no secret."""
        ...

    def end(self) -> None:
        """Note that it is over; once, and only for one that was begun."""
        ...


class Tracer(Protocol):
    """Makes spans."""

    def span(
        self, name: str, kind: Kind, parent: str, attributes: Attributes
    ) -> AbstractContextManager[Span]:
        """Make one of a block, which may be a part of `parent`, or else of the span that it is in."""
        ...

    def begin(self, name: str, kind: Kind, attributes: Attributes) -> Span:
        """Make one that the caller ends."""
        ...

    def inside(self) -> bool:
        """Whether there is a span that others would be a part of."""
        ...

    def stop(self) -> None:
        """Send what is still to be sent, for a few seconds."""
        ...


class _Nothing:
    """Span and Tracer of who traces nothing."""

    traceparent = ""

    def name(self, name: str) -> None:
        pass

    def set(self, attributes: Attributes) -> None:
        pass

    def fail(self, why: str) -> None:
        pass

    def end(self) -> None:
        pass

    def span(
        self, _name: str, _kind: Kind, _parent: str, _attributes: Attributes
    ) -> AbstractContextManager[Span]:
        return NO_SPAN

    def begin(self, _name: str, _kind: Kind, _attributes: Attributes) -> Span:
        return self

    def inside(self) -> bool:
        return False

    def stop(self) -> None:
        pass


_NOTHING: Final = _Nothing()
NO_SPAN: Final = nullcontext[Span](_NOTHING)
"""What is not traced."""
# One for the process, as its log is.
_tracer: Tracer = _NOTHING


def check(endpoint: str) -> str:
    """Give the URL that traces are sent to, empty for none; raises ConfigurationError."""
    if not endpoint:
        return ""
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError(f"{SETTING} is no URL: give one like http://127.0.0.1:4318.")
    if importlib.util.find_spec("opentelemetry") is None:
        raise ConfigurationError(
            f"{SETTING} is set, but OpenTelemetry is missing: install Penstock with the extra `tracing`."
        )
    return parts._replace(path=_PATH).geturl() if parts.path in ("", "/") else endpoint


def configure(endpoint: str, service: str) -> None:
    """Trace from now on, as a service of this name, where there is an endpoint; raises ConfigurationError."""
    global _tracer
    if url := check(endpoint):
        # Several megabytes that most processes do without.
        from clients.process.otlp import OtlpTracer  # noqa: PLC0415

        _tracer = OtlpTracer(url, service)


def stop() -> None:
    """Trace no more, and send what is still to be sent, for a few seconds."""
    global _tracer
    stopped, _tracer = _tracer, _NOTHING
    stopped.stop()


def begin_trace(name: str, parent: str, attributes: Attributes) -> AbstractContextManager[Span]:
    """Let the block be a request that came in, a part of `parent`'s trace where that is a `traceparent`."""
    return _tracer.span(name, Kind.SERVER, parent, attributes)


def go_on(name: str, parent: str, attributes: Attributes) -> AbstractContextManager[Span]:
    """Let the block be a request that came in, if `parent` says that somebody traces it."""
    return _tracer.span(name, Kind.SERVER, parent, attributes) if parent else NO_SPAN


def ask(name: str, attributes: Attributes) -> AbstractContextManager[Span]:
    """Let the block be a request to somebody else, if what it is made for is traced."""
    return _tracer.span(name, Kind.CLIENT, "", attributes) if _tracer.inside() else NO_SPAN


def begin_asking(name: str, attributes: Attributes) -> Span:
    """Give such a request as a span that the caller ends."""
    return _tracer.begin(name, Kind.CLIENT, attributes) if _tracer.inside() else _NOTHING
