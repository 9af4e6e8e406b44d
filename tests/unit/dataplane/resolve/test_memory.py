"""The dictionary that is bounded by bytes."""

from hypothesis import given
from hypothesis import strategies as st

from dataplane.resolve.memory import Memory


def test_what_was_used_least_recently_goes_first() -> None:
    """Looking counts as use."""
    memory: Memory[str, int] = Memory(30)
    for number, key in enumerate("abc"):
        memory.put(key, number, 10)
    assert memory.get("a") == 0
    memory.put("d", 3, 10)
    assert [memory.get(key) for key in "abcd"] == [0, None, 2, 3]


def test_use_counts_once_for_each_time_that_room_is_made() -> None:
    """What was looked at long ago goes as well, when all else was looked at since."""
    memory: Memory[str, int] = Memory(30)
    for number, key in enumerate("abc"):
        memory.put(key, number, 10)
    for key in "abc":
        memory.get(key)
    memory.put("d", 3, 10)
    assert memory.get("c") == 2
    memory.put("e", 4, 10)
    assert [memory.get(key) for key in "abcde"] == [None, None, 2, 3, 4]


def test_a_value_larger_than_all_the_room_is_not_kept() -> None:
    """And nothing goes for it, but what it was to replace."""
    memory: Memory[str, int] = Memory(30)
    memory.put("a", 1, 10)
    memory.put("b", 2, 10)
    memory.put("b", 3, 31)
    assert (memory.get("a"), memory.get("b"), memory.bytes) == (1, None, 10)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 40), st.booleans())))
def test_the_sum_stays_under_the_limit(steps: list[tuple[str, int, bool]]) -> None:
    """Whatever is put and dropped, what is counted is what is there."""
    memory: Memory[str, int] = Memory(100)
    sizes: dict[str, int] = {}
    for key, size, put in steps:
        if put:
            memory.put(key, size, size)
            sizes[key] = size
        else:
            memory.drop(key)
        there = [key for key in sizes if memory.get(key) is not None]
        assert memory.bytes <= 100
        assert len(memory) == len(there)
    kept = [value for key in "abcdef" if (value := memory.get(key)) is not None]
    assert memory.bytes == sum(kept)
