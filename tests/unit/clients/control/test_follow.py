"""A sync job, followed to its end."""

import grpc
import pytest

from clients.control.errors import NotFound, Unavailable
from clients.control.follow import ended, follow
from penstock.v1.artifact_pb2 import SyncJob
from tests.fakes.scripted_api import Refusal

GONE = Refusal(grpc.StatusCode.UNAVAILABLE, "Connection lost.")
RUNNING = [SyncJob(state=SyncJob.RUNNING, tags_done=done) for done in range(3)]
DONE = SyncJob(state=SyncJob.SUCCEEDED)


@pytest.fixture
def pauses() -> list[float]:
    """How long was waited, instead of waiting."""
    return []


@pytest.fixture
def followed(control, pauses):
    """Follows a job, and gives all that was told of it."""

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def all_of_it() -> list[SyncJob]:
        return [job async for job in follow(control.artifacts, "the-job", sleep)]

    return all_of_it


async def test_to_the_end(api, followed, pauses):
    """Every change, and no more after the end."""
    api.answer("WatchSyncJob", [*RUNNING, DONE])
    assert await followed() == [*RUNNING, DONE]
    assert api.requests("WatchSyncJob")[0].name == "the-job"
    assert pauses == []


async def test_a_stream_that_breaks_is_opened_again(api, followed, pauses):
    """After a pause, which is short again once the stream was good."""
    api.answer("WatchSyncJob", [RUNNING[0], GONE], GONE, [RUNNING[1], GONE], [DONE])
    assert await followed() == [RUNNING[0], RUNNING[1], DONE]
    assert pauses[0] < pauses[1]
    assert pauses[2] == pauses[0]


async def test_a_stream_that_ends_too_soon_is_opened_again(api, followed, pauses):
    """A server that drains closes its streams."""
    api.answer("WatchSyncJob", [RUNNING[0]], [DONE])
    assert await followed() == [RUNNING[0], DONE]
    assert len(pauses) == 1


@pytest.mark.parametrize("reply", [GONE, []])
async def test_not_for_ever(api, followed, pauses, reply):
    """A control plane that stays away, or says nothing, is an error in the end."""
    api.answer("WatchSyncJob", reply)
    with pytest.raises(Unavailable):
        await followed()
    assert sum(pauses) > 20


async def test_a_refusal_is_final(api, followed, pauses):
    """Only what may pass is tried again."""
    api.answer("WatchSyncJob", Refusal(grpc.StatusCode.NOT_FOUND, "No such job.", "SYNC_JOB_NOT_FOUND"))
    with pytest.raises(NotFound):
        await followed()
    assert pauses == []


@pytest.mark.parametrize("state", SyncJob.State.values())
def test_which_states_are_the_end(state):
    """Waiting and running are not."""
    going_on = (SyncJob.STATE_UNSPECIFIED, SyncJob.PENDING, SyncJob.RUNNING)
    assert ended(SyncJob(state=state)) == (state not in going_on)
