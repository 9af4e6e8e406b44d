"""Which workers are taken for hanging, and when none are."""

from dataplane.workers.watchdog import Watchdog


def looks(watchdog: Watchdog, moments: dict[float, dict[int, int]]) -> dict[float, list[int]]:
    """What it says at each moment at which it is told when each worker stirred; without empty answers."""
    said = {now: watchdog.look(stirred, now) for now, stirred in moments.items()}
    return {now: hang for now, hang in said.items() if hang}


def test_a_worker_that_stirs_no_more_hangs_and_is_named_once() -> None:
    """When it has not stirred for as long as was said; the others, which do, never."""
    moments = {float(now): {0: now, 1: min(now, 3), 2: now} for now in range(1, 60)}
    assert looks(Watchdog(10), moments) == {13.0: [1]}


def test_a_worker_that_was_slow_for_a_while_does_not_hang() -> None:
    """Each time that it stirs, it has the whole time again."""
    moments = {float(now): {0: now // 9} for now in range(9, 100)}
    assert looks(Watchdog(10), moments) == {}


def test_a_worker_that_has_not_stirred_yet_is_left_alone() -> None:
    """It starts, however long that takes; from its first sign on it is looked after, as any successor is."""
    starting = {float(now): {0: 0} for now in range(50)}
    started = {float(now): {0: 50} for now in range(50, 80)}
    again = {float(now): {0: 0} for now in range(80, 120)}
    assert looks(Watchdog(10), starting | started | again) == {60.0: [0]}


def test_nobody_hangs_after_all_were_stopped() -> None:
    """The looks show it: whoever was stopped with its container, or slept with its machine, looks late."""
    watchdog = Watchdog(10)
    before = {float(now): {0: now, 1: now} for now in range(9)}
    # It goes on after a day, and before the others do.
    after = {86400.0 + now: {0: 8, 1: 8} for now in range(5)}
    later = {86405.0 + now: {0: 9 + now, 1: 8} for now in range(20)}
    assert looks(watchdog, before | after | later) == {86410.0: [1]}


def test_a_machine_that_is_slow_as_a_whole_kills_nobody() -> None:
    """Where this process is held up again and again, so may the others be."""
    moments = {float(now): {0: 1} for now in range(0, 300, 3)}
    assert looks(Watchdog(10), moments) == {}
