"""Which tags a policy chooses."""

import pytest

from controlplane.catalog.policy import SyncPolicy
from controlplane.sync.filters import Selection, TagFilter, subject_of

_HEX = "0123456789abcdef" * 4
_SIGNATURE = f"sha256-{_HEX}.sig"
_LISTED = ["1.0.0", "1.2.0", "v1.10.0", "2.0.0-rc.1", "2.0", "latest", "nightly-20300101", "nightly-20300102"]


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        ({}, _LISTED),
        ({"include_tags": ("1.*", "v*")}, ["1.0.0", "1.2.0", "v1.10.0"]),
        ({"exclude_tags": ("nightly-*", "latest")}, ["1.0.0", "1.2.0", "v1.10.0", "2.0.0-rc.1", "2.0"]),
        ({"include_tags": ("*",), "exclude_tags": ("*",)}, []),
        ({"version_range": ">=1.1 <3"}, ["1.2.0", "v1.10.0", "2.0"]),
        ({"version_range": "*"}, ["1.0.0", "1.2.0", "v1.10.0", "2.0"]),
        ({"newest": 3}, ["2.0", "2.0.0-rc.1", "v1.10.0"]),
        (
            {"newest": 7},
            ["2.0", "2.0.0-rc.1", "v1.10.0", "1.2.0", "1.0.0", "nightly-20300102", "nightly-20300101"],
        ),
        ({"newest": 8}, _LISTED),
        ({"include_tags": ("nightly-*",), "newest": 1}, ["nightly-20300102"]),
    ],
)
def test_filters_hold_together(policy: dict[str, object], chosen: list[str]) -> None:
    """Patterns, then the range, then the newest of what is left: versions first, then by name."""
    assert TagFilter.of(SyncPolicy(**policy)).select(_LISTED) == Selection(chosen, [])


def test_what_refers_to_manifests_follows_them() -> None:
    """It is counted by no filter but a pattern that excludes it; without filters it is a tag like others."""
    listed = ["1.0", _SIGNATURE, f"sha256-{_HEX}"]
    for policy in ({"newest": 1}, {"include_tags": ("1.*",)}, {"version_range": "^1"}):
        assert TagFilter.of(SyncPolicy(**policy)).select(listed) == Selection(["1.0"], listed[1:])
    excluding = SyncPolicy(exclude_tags=("sha256-*.sig",))
    assert TagFilter.of(excluding).select(listed) == Selection(["1.0"], [f"sha256-{_HEX}"])
    assert TagFilter.of(SyncPolicy()).select(listed) == Selection(listed, [])


@pytest.mark.parametrize(
    ("tag", "subject"),
    [
        (f"sha256-{_HEX}", f"sha256:{_HEX}"),
        (_SIGNATURE, f"sha256:{_HEX}"),
        (f"sha256-{_HEX[:-1]}", ""),
        (f"sha256-{_HEX}.", ""),
        (f"sha256-{_HEX}-x", ""),
        ("latest", ""),
    ],
)
def test_the_tag_schema_of_referrers(tag: str, subject: str) -> None:
    """Only what is exactly of its form."""
    assert subject_of(tag) == subject


def test_hostile_patterns_take_no_time() -> None:
    """A quarter of a million tags against a pattern that would backtrack for ever."""
    hostile = SyncPolicy(include_tags=("*a*a*a*a*a*a*a*a*a*a*b",))
    assert TagFilter.of(hostile).select(["a" * 128] * 20_000).tags == []
