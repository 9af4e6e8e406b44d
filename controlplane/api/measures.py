"""Metrics of the gRPC API."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(slots=True)
class Outcome:
    """How a call ended; UNKNOWN until somebody says."""

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN


class CallMeasures:
    """Counts calls by method and code, and times those that are no streams."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "penstock_grpc_calls",
            "Calls that ended, by their status code.",
            ("method", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "penstock_grpc_call_duration_seconds",
            "How long unary calls took.",
            ("method",),
            buckets=_BUCKETS,
            registry=registry,
        )

    @contextmanager
    def call(self, method: str, *, timed: bool) -> Iterator[Outcome]:
        """Measure the block as one call of the method at its path."""
        name = method.lstrip("/")
        outcome = Outcome()
        started = time.perf_counter()
        try:
            yield outcome
        finally:
            self._calls.labels(name, outcome.code.name).inc()
            if timed:
                self._seconds.labels(name).observe(time.perf_counter() - started)
