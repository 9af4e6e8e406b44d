"""How long it is remembered that the upstream does not have something."""

from controlplane.catalog.absence import Absences


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_absence_is_remembered_for_a_while_and_no_longer() -> None:
    """What appears upstream is found soon after."""
    clock = _Clock()
    absences: Absences[str] = Absences(clock, seconds=10)
    absences.remember("a")
    clock.now += 9.9
    assert "a" in absences
    assert "b" not in absences
    clock.now += 0.1
    assert "a" not in absences


def test_remembering_again_begins_anew() -> None:
    """An absence that was confirmed is as good as a new one."""
    clock = _Clock()
    absences: Absences[str] = Absences(clock, seconds=10)
    absences.remember("a")
    absences.remember("b")
    clock.now += 9
    absences.remember("a")
    clock.now += 5
    assert "a" in absences
    assert "b" not in absences


def test_the_memory_is_bounded() -> None:
    """Somebody who asks for ever new names fills no memory, and pushes out only the oldest."""
    absences: Absences[int] = Absences(_Clock(), capacity=100)
    for number in range(10_000):
        absences.remember(number)
    assert len(absences) == 100
    assert 9_999 in absences
    assert 9_899 not in absences
