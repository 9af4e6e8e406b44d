"""The counts of a run, and what they say of it in the end."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any, Final

from clients.oci.request import Kind
from controlplane.catalog.tagging import TagChanges
from penstock.v1 import artifact_pb2

_Job = artifact_pb2.SyncJob

# How many tags that failed a job names; all of them are counted.
NAMED_ERRORS: Final = 100


@dataclass(slots=True)
class Tally:
    """What a run has done so far; the fields are columns of the job, but for `reservations`."""

    tags_total: int = 0
    tags_done: int = 0
    tags_new: int = 0
    tags_moved: int = 0
    tags_unchanged: int = 0
    tags_failed: int = 0
    tags_skipped: int = 0
    tags_missing: int = 0
    tags_removed: int = 0
    manifests_fetched: int = 0
    # By kind of request; retries included.
    requests: Counter[str] = field(default_factory=Counter)
    tag_errors: list[dict[str, str]] = field(default_factory=list)
    # What was not done although no tag failed; sentences.
    reservations: str = ""

    @property
    def mostly_failed(self) -> bool:
        """Whether half of the tags or more that were asked for could not be synced."""
        return self.tags_failed > 0 and 2 * self.tags_failed >= self.tags_total - self.tags_skipped

    def columns(self) -> dict[str, Any]:
        """Give the job's columns, as they are now."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "reservations"}
        return values | {"requests": dict(self.requests), "tag_errors": list(self.tag_errors)}

    def ask(self, kind: Kind) -> None:
        """Count a request to the upstream."""
        self.requests[kind.value] += 1

    def reserve(self, reason: str) -> None:
        """Note what was not done, although no tag failed: one sentence."""
        self.reservations = f"{self.reservations} {reason}".strip()

    def skip(self, tags: int) -> None:
        """Count tags that the filters leave out."""
        self.tags_done += tags
        self.tags_skipped += tags

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
        synced = self.tags_done - self.tags_failed - self.tags_skipped
        wanted = self.tags_total - self.tags_skipped
        if problem and not synced:
            return _Job.FAILED, problem
        if problem:
            return _Job.PARTIAL, f"{problem} {synced} of {wanted} tags had been synced by then."
        if self.tags_failed:
            first = self.tag_errors[0]
            error = (
                f"{self.tags_failed} of {wanted} tags could not be synced; "
                f"the first, {first['tag']}: {first['reason']}"
            )
            return (_Job.FAILED if self.tags_failed == wanted else _Job.PARTIAL), error
        if self.reservations:
            return _Job.PARTIAL, self.reservations
        return _Job.SUCCEEDED, ""
