"""What counts say of a run in the end."""

from controlplane.catalog.tagging import TagChanges
from controlplane.sync.tally import NAMED_ERRORS, Tally
from penstock.v1 import artifact_pb2

_Job = artifact_pb2.SyncJob


def _tally(*, kept: int = 0, failed: int = 0, total: int | None = None) -> Tally:
    tally = Tally(tags_total=kept + failed if total is None else total)
    for _ in range(kept):
        tally.keep()
    for number in range(failed):
        tally.fail(f"v{number}", "It is broken.")
    return tally


def test_a_run_without_failures_succeeded() -> None:
    """Also one over a repository without tags."""
    assert _tally(kept=3).verdict() == (_Job.SUCCEEDED, "")
    assert _tally().verdict() == (_Job.SUCCEEDED, "")


def test_a_run_with_some_failures_is_partial() -> None:
    """The others are in place, and the error says how many are not, and why the first."""
    assert _tally(kept=3, failed=2).verdict() == (
        _Job.PARTIAL,
        "2 of 5 tags could not be synced; the first, v0: It is broken.",
    )


def test_a_run_in_which_every_tag_failed_failed() -> None:
    """Nothing was learned."""
    state, error = _tally(failed=2).verdict()
    assert state == _Job.FAILED
    assert "v0: It is broken." in error


def test_a_run_that_ended_early_says_what_ended_it() -> None:
    """It is partial where something was learned before."""
    assert _tally(total=7).verdict("No answer.") == (_Job.FAILED, "No answer.")
    assert _tally(failed=1, total=7).verdict("No answer.") == (_Job.FAILED, "No answer.")
    assert _tally(kept=2, failed=1, total=7).verdict("No answer.") == (
        _Job.PARTIAL,
        "No answer. 2 of 7 tags had been synced by then.",
    )


def test_written_tags_count_by_what_became_of_them() -> None:
    """New, moved and unchanged add up to those that are done."""
    tally = _tally(kept=1, failed=1, total=7)
    tally.place(5, TagChanges(new=2, moved=1))
    assert (tally.tags_new, tally.tags_moved, tally.tags_unchanged) == (2, 1, 3)
    assert tally.tags_done == 7


def test_failures_are_all_counted_but_not_all_named() -> None:
    """A job's row stays small."""
    tally = _tally(failed=5000)
    assert tally.tags_failed == 5000
    assert len(tally.tag_errors) == NAMED_ERRORS == 100
    assert tally.tag_errors[0] == {"tag": "v0", "reason": "It is broken."}
