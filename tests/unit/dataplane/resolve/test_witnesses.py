"""Witnesses: a few are remembered, the newest, and only those that are new enough vouch."""

import tracemalloc

import pytest

from clients.oci.digest import Digest
from clients.oci.tag_rule import TagRule
from dataplane.access.rules import Rules
from dataplane.resolve.witnesses import Witness, Witnesses, join

DIGEST = Digest.of(b"content")
ONE = Rules.of([TagRule.of(patterns=["1.*"])])
BOTH = Rules.of([TagRule.of(patterns=["1.*"]), TagRule.of(patterns=["2.*"])])


@pytest.mark.parametrize(
    ("tag", "known_at", "asked_at", "rules", "vouched"),
    [
        ("1.0", 5, 5, ONE, True),
        ("1.0", 6, 5, ONE, True),
        ("1.0", 4, 5, ONE, False),
        ("2.0", 5, 5, ONE, False),
        ("2.0", 5, 5, BOTH, True),
    ],
)
def test_a_witness_vouches_for_those_whose_rules_name_it(
    tag: str, known_at: int, asked_at: int, rules: Rules, vouched: bool
) -> None:
    """While the artifact's content is what it was, and for this artifact and digest only."""
    witnesses = Witnesses(1 << 20)
    witnesses.note("app", [DIGEST], (Witness(tag, known_at),))
    assert witnesses.vouch("app", DIGEST, rules, asked_at) == (known_at if vouched else None)
    assert not witnesses.vouch("other", DIGEST, rules, asked_at)
    assert not witnesses.vouch("app", Digest.of(b"other"), rules, asked_at)


def test_the_newest_are_kept() -> None:
    """A base layer may be in thousands of tags; each is witness once, with the last that is known of it."""
    witnesses = Witnesses(1 << 20)
    for revision in range(1, 1000):
        witnesses.note("app", [DIGEST], (Witness(f"1.{revision % 20}", revision),))
    known = witnesses.of("app", DIGEST)
    assert [witness.content_revision for witness in known] == list(range(999, 991, -1))


def test_what_adds_nothing_changes_nothing() -> None:
    """So that who compares finds the same, and nothing is written again."""
    known = (Witness("1.1", 7), Witness("1.0", 5))
    for other in ((), known, (Witness("1.0", 4),)):
        assert join(known, other) is known
    assert join((Witness("1.0", 5),), (Witness("1.0", 9),)) == (Witness("1.0", 9),)


def test_the_memory_is_bounded() -> None:
    """By what was used last, for any number of digests."""
    witnesses = Witnesses(100 * 512)
    for number in range(1000):
        witnesses.note("app", [Digest.of(b"%d" % number)], (Witness("1.0", 1),))
    known = [number for number in range(1000) if witnesses.of("app", Digest.of(b"%d" % number))]
    assert len(known) <= 100
    assert 999 in known


def test_they_take_no_more_memory_than_they_may() -> None:
    """Of a repository of more tags, platforms and blobs than there is room for, the rest is forgotten."""
    digests = [[Digest.of(b"%d %d" % (tag, part)) for part in range(32)] for tag in range(200)]
    tracemalloc.start()
    try:
        witnesses = Witnesses(1 << 20)
        for tag, members in enumerate(digests):
            witnesses.note("artifact", members, (Witness(f"1.{tag}", 1),))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= 1 << 20
    assert witnesses.vouch("artifact", digests[-1][-1], ONE, 1)
    assert not witnesses.of("artifact", digests[0][0])
