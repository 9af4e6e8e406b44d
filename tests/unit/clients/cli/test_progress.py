"""The progress of a sync, at a terminal and elsewhere."""

import io

import pytest

from clients.cli.failure import Failure
from clients.cli.progress import check, shown
from penstock.v1.artifact_pb2 import SyncJob


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_at_a_terminal():
    """Counts, state and a bar; nothing of it is markup, whatever the artifact is called."""
    stream = Terminal()
    with shown("acme/[b]redis", stream) as show:
        show(SyncJob(state=SyncJob.PENDING))
        show(SyncJob(state=SyncJob.RUNNING, tags_total=10, tags_done=4))
        show(SyncJob(state=SyncJob.SUCCEEDED, tags_total=10, tags_done=10, tags_new=10))
    text = stream.getvalue()
    assert "acme/[b]redis" in text
    assert "10/10" in text
    assert "10 new" in text


def test_no_control_sequences_elsewhere():
    """A log of a CI job stays readable."""
    stream = io.StringIO()
    with shown("acme/redis", stream) as show:
        show(SyncJob(state=SyncJob.RUNNING))
        show(SyncJob(state=SyncJob.RUNNING))
        show(SyncJob(state=SyncJob.FAILED))
    assert stream.getvalue() == "sync of acme/redis: running\nsync of acme/redis: failed\n"


def test_an_empty_repository_is_no_failure():
    """Nothing to sync is a success."""
    check(SyncJob(state=SyncJob.SUCCEEDED), "acme/redis")


@pytest.mark.parametrize("state", [SyncJob.FAILED, SyncJob.PARTIAL, SyncJob.STATE_UNSPECIFIED])
def test_anything_but_success_is_a_failure(state):
    """Also a state that a later version may add."""
    with pytest.raises(Failure, match="acme/redis"):
        check(SyncJob(state=state), "acme/redis")
