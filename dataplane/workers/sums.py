"""Metrics of several processes as those of one."""

from collections.abc import Iterable
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

# Where a sum would mean nothing: what every worker sees of the same thing.
_HIGHEST: Final = frozenset(
    (
        "penstock_node_build_info",
        "penstock_node_cache_blobs",
        "penstock_node_cache_bytes",
        "penstock_node_config_age_seconds",
        "penstock_node_config_passed_over",
        "penstock_node_config_refused",
        "penstock_node_disk_bytes",
        "penstock_node_disk_free_bytes",
        "penstock_node_troubled",
        "process_max_fds",
    )
)
_LOWEST: Final = frozenset(
    (
        "penstock_node_certificate_expiry_timestamp_seconds",
        "penstock_node_config_following",
        "penstock_node_config_revision",
        "process_start_time_seconds",
    )
)


def pack(metrics: Iterable[Metric]) -> list[Any]:
    """Give metrics as values that JSON knows."""
    packed = []
    for metric in metrics:
        samples = [[sample.name, sample.labels, sample.value] for sample in metric.samples]
        packed.append([metric.name, metric.documentation, metric.type, samples])
    return packed


def unpack(packed: Iterable[Any]) -> list[Metric]:
    """Undo `pack`."""
    metrics = []
    for name, documentation, kind, samples in packed:
        metric = Metric(name, documentation, kind)
        for sample in samples:
            metric.add_sample(*sample)
        metrics.append(metric)
    return metrics


def add(reports: Iterable[Iterable[Metric]]) -> list[Metric]:
    """Give one report for all: counters and most gauges are sums."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for metric in (metric for report in reports for metric in report):
        families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
        found = values.setdefault(metric.name, {})
        for sample in metric.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            found[key] = _together(sample.name, found.get(key), sample.value)
    for name, samples in values.items():
        for (sample_name, labels), value in samples.items():
            families[name].add_sample(sample_name, dict(labels), value)
    return list(families.values())


def counters(report: Iterable[Metric]) -> list[Metric]:
    """Give what must not be forgotten when a process ends: a counter never falls, nor does a histogram's."""
    return [metric for metric in report if metric.type in ("counter", "histogram")]


def exposition(report: Iterable[Metric]) -> bytes:
    """Render in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Fixed(list(report)))
    return generate_latest(registry)


class _Fixed(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _together(name: str, one: float | None, other: float) -> float:
    if one is None:
        return other
    if name in _HIGHEST:
        return max(one, other)
    if name in _LOWEST or name.endswith("_created"):
        return min(one, other)
    return one + other
