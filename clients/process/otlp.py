"""Traces by OpenTelemetry, sent to a collector by OTLP over HTTP; imported only where they are wanted."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from clients.process import request_id as request_ids
from clients.process.tracing import HEADER, Attributes, Kind, Span

_KINDS: Final = {Kind.SERVER: trace.SpanKind.SERVER, Kind.CLIENT: trace.SpanKind.CLIENT}
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_REQUEST_ID: Final = "penstock.request_id"
# Spans that wait to be sent; further ones are dropped.
_MOST_WAITING: Final = 4096
_DELAY_MS: Final = 2000
# Seconds that a collector may take, and that the end of a process waits for it.
_TIMEOUT: Final = 3


class OtlpTracer:
    """A Tracer that sends to the OTLP endpoint at a URL, in a thread of its own, what a service does."""

    def __init__(self, url: str, service: str) -> None:
        # Below that it tells of each span that is dropped, and of each second attempt.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        self._exporter = OTLPSpanExporter(url, timeout=_TIMEOUT)
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service, "service.version": version("penstock")}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=_MOST_WAITING,
                schedule_delay_millis=_DELAY_MS,
            )
        )
        self._tracer = self._provider.get_tracer("penstock")

    @contextmanager
    def span(self, name: str, kind: Kind, parent: str, attributes: Attributes) -> Iterator[Span]:
        """See Tracer."""
        # Nothing of another trace that this task may have been made in.
        context = _PROPAGATOR.extract({HEADER: parent}, Context()) if parent or kind is Kind.SERVER else None
        span = self._tracer.start_span(name, context, _KINDS[kind], _whole(attributes))
        # What an exception says may be a secret, and is logged by those who know.
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield OtlpSpan(span)
            except BaseException as error:
                span.set_status(trace.StatusCode.ERROR, type(error).__name__)
                raise

    def begin(self, name: str, kind: Kind, attributes: Attributes) -> Span:
        """See Tracer."""
        return OtlpSpan(self._tracer.start_span(name, None, _KINDS[kind], _whole(attributes)))

    def inside(self) -> bool:
        """See Tracer."""
        return trace.get_current_span().get_span_context().is_valid

    def stop(self) -> None:
        """See Tracer."""
        # By itself it would try for longer than a process may take to end.
        impatience = threading.Timer(_TIMEOUT, self._exporter.shutdown)
        impatience.daemon = True
        impatience.start()
        self._provider.shutdown()
        impatience.cancel()


class OtlpSpan:
    """See Span."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """See Span."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(self._span, Context()))
        return carrier.get(HEADER, "")

    def name(self, name: str) -> None:
        """See Span."""
        self._span.update_name(name)

    def set(self, attributes: Attributes) -> None:
        """See Span."""
        self._span.set_attributes(attributes)

    def fail(self, why: str) -> None:
        """See Span."""
        self._span.set_status(trace.StatusCode.ERROR, why)

    def end(self) -> None:
        """See Span."""
        self._span.end()


def _whole(attributes: Attributes) -> Attributes:
    request_id = request_ids.current()
    return {**attributes, _REQUEST_ID: request_id} if request_id else attributes
