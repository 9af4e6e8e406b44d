"""Sync policies, as the table keeps them."""

import json
from datetime import timedelta

from controlplane.catalog.policy import SyncPolicy


def test_what_is_kept_is_read_as_it_was() -> None:
    """Through JSON; what is as usual is not kept at all."""
    policy = SyncPolicy(
        include_tags=("1.*",),
        exclude_tags=("*-rc",),
        version_range=">=1",
        newest=5,
        platforms=("linux/amd64",),
        keep_deleted_tags=True,
        max_tag_age=timedelta(minutes=5),
        revalidate_before_answer=True,
    )
    assert SyncPolicy.of(json.loads(json.dumps(policy.kept()))) == policy
    assert SyncPolicy().kept() == {}
    assert SyncPolicy.of({}) == SyncPolicy()


def test_what_a_newer_version_kept_is_left_alone() -> None:
    """A replica that was not updated yet goes on."""
    assert SyncPolicy.of({"newest": 2, "of_the_future": [1]}) == SyncPolicy(newest=2)
