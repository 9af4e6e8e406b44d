"""The counts of a run, and what they say of it in the end."""

from dataclasses import dataclass, field
from typing import Final

from controlplane.catalog.store import TagChanges
from penstock.v1 import artifact_pb2

_Job = artifact_pb2.SyncJob

# How many tags that failed a job names; all of them are counted.
NAMED_ERRORS: Final = 100


@dataclass(slots=True)
class Tally:
    """What a run has done so far; the fields are columns of the job."""

    tags_total: int = 0
    tags_done: int = 0
    tags_new: int = 0
    tags_moved: int = 0
    tags_unchanged: int = 0
    tags_failed: int = 0
    manifests_fetched: int = 0
    tag_errors: list[dict[str, str]] = field(default_factory=list)

    def fail(self, tag: str, reason: str) -> None:
        """Count a tag that could not be synced, and why: one sentence."""
        self.tags_done += 1
        self.tags_failed += 1
        if len(self.tag_errors) < NAMED_ERRORS:
            self.tag_errors.append({"tag": tag, "reason": reason})

    def keep(self) -> None:
        """Count a tag that stands for what it stood for."""
        self.tags_done += 1
        self.tags_unchanged += 1

    def place(self, tags: int, changes: TagChanges) -> None:
        """Count tags that were written, as far as they had to be."""
        self.tags_done += tags
        self.tags_new += changes.new
        self.tags_moved += changes.moved
        self.tags_unchanged += tags - changes.new - changes.moved

    def verdict(self, problem: str = "") -> tuple[_Job.State.ValueType, str]:
        """Give state and error of a run that went through, or that `problem`, a sentence, ended early."""
        if problem and self.tags_done == self.tags_failed:
            return _Job.FAILED, problem
        if problem:
            done = f"{self.tags_done - self.tags_failed} of {self.tags_total} tags had been synced by then."
            return _Job.PARTIAL, f"{problem} {done}"
        if not self.tags_failed:
            return _Job.SUCCEEDED, ""
        first = self.tag_errors[0]
        error = (
            f"{self.tags_failed} of {self.tags_total} tags could not be synced; "
            f"the first, {first['tag']}: {first['reason']}"
        )
        if self.tags_failed == self.tags_total:
            return _Job.FAILED, error
        return _Job.PARTIAL, error
