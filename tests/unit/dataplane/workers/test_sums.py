"""Metrics of several workers, added up."""

import json

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from dataplane.workers import sums


def report(requests: dict[str, float], **gauges: float) -> list[Metric]:
    """What a worker reports."""
    counter = CounterMetricFamily("penstock_node_requests", "Requests.", labels=("route",))
    for route, count in requests.items():
        counter.add_metric((route,), count)
    return [counter, *(GaugeMetricFamily(name, "A gauge.", value) for name, value in gauges.items())]


def values(metrics: list[Metric]) -> dict[tuple[str, str], float]:
    """Every sample, read back from the text that Prometheus gets."""
    families = text_string_to_metric_families(sums.exposition(metrics).decode())
    return {
        (sample.name, sample.labels.get("route", "")): sample.value
        for family in families
        for sample in family.samples
    }


def test_counters_are_summed_label_by_label() -> None:
    """Also what only one of them has."""
    added = sums.add([report({"blob": 3, "tags": 1}), report({"blob": 4, "base": 2})])
    assert values(added) == {
        ("penstock_node_requests_total", "blob"): 7,
        ("penstock_node_requests_total", "tags"): 1,
        ("penstock_node_requests_total", "base"): 2,
    }


def test_gauges_are_summed_unless_all_see_the_same() -> None:
    """Two workers that look at one cache do not make it twice as large; the one behind is told of."""
    one = report(
        {}, penstock_node_connections=3, penstock_node_cache_bytes=10, penstock_node_config_revision=7
    )
    two = report(
        {}, penstock_node_connections=4, penstock_node_cache_bytes=12, penstock_node_config_revision=6
    )
    found = values(sums.add([one, two]))
    assert found["penstock_node_connections", ""] == 7
    assert found["penstock_node_cache_bytes", ""] == 12
    assert found["penstock_node_config_revision", ""] == 6


def test_a_report_travels_as_json() -> None:
    """And is the same behind it."""
    sent = report({"blob": 3.5, 'od"d\n': 1}, penstock_node_connections=3)
    assert values(sums.unpack(json.loads(json.dumps(sums.pack(sent))))) == values(sent)


def test_what_a_worker_counted_outlives_it() -> None:
    """Its counters go on counting in the sum, its gauges do not."""
    past = sums.counters(report({"blob": 3}, penstock_node_connections=9))
    assert values(sums.add([report({"blob": 1}, penstock_node_connections=1), past])) == {
        ("penstock_node_requests_total", "blob"): 4,
        ("penstock_node_connections", ""): 1,
    }


def test_histograms_are_summed_bucket_by_bucket() -> None:
    """Those of a worker that has ended as well, and they are still histograms behind the sum."""

    def took(*counts: int) -> list[Metric]:
        family = HistogramMetricFamily("penstock_node_seconds", "Seconds.", labels=("route",))
        buckets = [(bound, float(count)) for bound, count in zip(("0.5", "+Inf"), counts, strict=True)]
        family.add_metric(("blob",), buckets, float(counts[-1]))
        return [family]

    (family,) = text_string_to_metric_families(
        sums.exposition(sums.add([took(1, 3), sums.counters(took(2, 2))])).decode()
    )
    found = {(sample.name, sample.labels.get("le", "")): sample.value for sample in family.samples}
    assert family.type == "histogram"
    assert found == {
        ("penstock_node_seconds_bucket", "0.5"): 3,
        ("penstock_node_seconds_bucket", "+Inf"): 5,
        ("penstock_node_seconds_count", ""): 5,
        ("penstock_node_seconds_sum", ""): 5,
    }


def test_the_certificate_that_ends_first() -> None:
    """Workers that have taken up a renewal do not hide the one that has not."""
    name = "penstock_node_certificate_expiry_timestamp_seconds"
    reports = [report({}, **{name: end}) for end in (2000.0, 1000.0, 3000.0)]
    assert values(sums.add(reports))[name, ""] == 1000
