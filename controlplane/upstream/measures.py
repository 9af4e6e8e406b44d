"""Metrics of upstreams: whose breakers are not closed, and how old ECR's tokens are."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from clients.oci.breaker import Breakers, State
from clients.oci.outcomes import Outcomes
from controlplane.upstream.ecr_tokens import EcrTokens

_STATES: Final = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


class UpstreamMeasures(Collector):
    """Read when they are asked for."""

    def __init__(self, breakers: Breakers, outcomes: Outcomes, tokens: EcrTokens) -> None:
        self._breakers = breakers
        self._outcomes = outcomes
        self._tokens = tokens

    def collect(self) -> Iterator[Metric]:
        """Give the metrics as they are now."""
        breakers = GaugeMetricFamily(
            "penstock_upstream_breaker_state",
            "Circuit breakers of upstreams that failed lately: 0 closed, 1 half-open, 2 open.",
            labels=("upstream",),
        )
        for origin, state in self._breakers.states().items():
            breakers.add_metric((origin,), _STATES[state])
        yield breakers
        requests = CounterMetricFamily(
            "penstock_upstream_requests",
            "Requests to upstreams, by the status of the answer; failed: there was none.",
            labels=("upstream", "status"),
        )
        for key, count in self._outcomes.counts.items():
            requests.add_metric(key, count)
        yield requests
        ages = GaugeMetricFamily(
            "penstock_ecr_token_age_seconds",
            "How long ago AWS gave the ECR tokens that this process uses; half their life is 21600.",
            labels=("credential", "region"),
        )
        for (credential, region), age in self._tokens.ages().items():
            ages.add_metric((credential, region), age.total_seconds())
        yield ages
