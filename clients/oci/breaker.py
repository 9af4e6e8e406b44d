"""Circuit breakers: an upstream that fails again and again is left alone, then tried by one request."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from clients.oci.errors import UpstreamPaused

# Failures in a row that open a breaker; one request may make three of them.
_FAILURES = 6
# Seconds that it stays open at first, doubled each time that a probe fails too, up to the longest.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
# Seconds until a probe that nobody saw the end of no longer counts.
_PROBE = 60.0
_REMEMBERED = 1000


class State(StrEnum):
    """What a breaker does with requests."""

    CLOSED = "closed"
    """They go through."""
    OPEN = "open"
    """They are refused at once."""
    HALF_OPEN = "half_open"
    """One goes through, to see."""


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    # What the last of them was, a sentence.
    problem: str = ""
    pause: float = 0.0
    until: float = 0.0
    probe_until: float = 0.0


@dataclass(slots=True)
class Outcome:
    """How a request ended, as far as the host's health is concerned.

    `problem` is a sentence, empty for an answer; None says nothing of the host.
    """

    problem: str | None = None


class Breakers:
    """One breaker for each host that has failed, by scheme, host and port, and by who redirects there.

    `clock` gives seconds and is never set.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._breakers: OrderedDict[str, _Breaker] = OrderedDict()

    @contextmanager
    def watch(self, origin: str, host: str) -> Iterator[Outcome]:
        """Makes a request to the origin in the block, which sets the outcome.

        Raises UpstreamPaused, about `host`, where it is not to be asked now.
        """
        probing = self._admit(origin, host)
        outcome = Outcome()
        try:
            yield outcome
        finally:
            if outcome.problem is not None:
                self._note(origin, outcome.problem)
            elif probing and (breaker := self._breakers.get(origin)) is not None:
                breaker.probe_until = 0.0

    def states(self) -> Mapping[str, State]:
        """Tells the state of every origin that has failed lately."""
        now = self._clock()
        return {origin: _state(breaker, now) for origin, breaker in self._breakers.items()}

    def _admit(self, origin: str, host: str) -> bool:
        breaker = self._breakers.get(origin)
        now = self._clock()
        if breaker is None or _state(breaker, now) is State.CLOSED:
            return False
        left = max(breaker.until, breaker.probe_until) - now
        if left > 0:
            raise UpstreamPaused(
                host,
                f"{breaker.problem} That was {breaker.failures} times in a row: it is left alone a moment.",
                retry_after=min(left, _LONGEST_PAUSE),
            )
        breaker.probe_until = now + _PROBE
        return True

    def _note(self, origin: str, problem: str) -> None:
        if not problem:
            self._breakers.pop(origin, None)
            return
        breaker = self._breakers.setdefault(origin, _Breaker())
        self._breakers.move_to_end(origin)
        if len(self._breakers) > _REMEMBERED:
            self._breakers.popitem(last=False)
        breaker.failures += 1
        breaker.problem = problem
        breaker.probe_until = 0.0
        now = self._clock()
        # Requests that were under way when it opened do not prolong it.
        if breaker.failures >= _FAILURES and now >= breaker.until:
            breaker.pause = min(breaker.pause * 2 or _FIRST_PAUSE, _LONGEST_PAUSE)
            breaker.until = now + breaker.pause


def _state(breaker: _Breaker, now: float) -> State:
    if breaker.failures < _FAILURES:
        return State.CLOSED
    return State.OPEN if now < breaker.until else State.HALF_OPEN
