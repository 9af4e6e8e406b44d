"""What a workload declares: cases, each with servers, a measurement and what its figures mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.bench.machine import Placement


class Measured(Protocol):
    """What is measured: as a rule a Server."""

    name: str

    def wait_until_quiet(self) -> None:
        """Waits, a bounded time, until nothing goes on behind its answers."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What one figure of a run says; `less` when a smaller one is better."""

    name: str
    unit: str
    less: bool = False
    # A figure about the measurement itself stays out of the results and is compared with nobody.
    compared: bool = True


# The share of a core that the load generator used: close to 1, it may itself have been the limit.
GENERATOR = Metric("generator", "of a core", less=True, compared=False)

Sample = Mapping[Metric, float]


@dataclass(frozen=True, slots=True)
class Case:
    """One line of comparison: the first server is the subject, every other one a peer of it.

    `measure` is called with a server and the number of the round, once for each server in each round.
    """

    name: str
    placement: Placement
    servers: Sequence[Measured]
    measure: Callable[[Any, int], Sample]
    # At most so many rounds, for a case that is slow and steady.
    rounds: int | None = None


@dataclass(slots=True)
class Result:
    """The runs of a case: for each server by name, one sample a round; or why it has none."""

    workload: str
    case: str
    placement: Placement
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def metrics(self) -> list[Metric]:
        """The metrics of this case, in the order that the measurement gives them."""
        return list(dict.fromkeys(metric for runs in self.samples.values() for run in runs for metric in run))

    def values(self, server: str, metric: Metric) -> list[float]:
        """One figure of each run of a server."""
        return [run[metric] for run in self.samples[server] if metric in run]
