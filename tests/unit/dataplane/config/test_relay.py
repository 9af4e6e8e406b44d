"""One worker follows the control plane, and the others follow it: through changes, gaps, deaths and disks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from clients.control.client import ControlClient
from dataplane.config.board import Board
from dataplane.config.draft import from_message
from dataplane.config.relay import ConfigFollow, Message, Relay
from dataplane.config.saved import SavedConfiguration
from dataplane.config.state import ConfigState
from dataplane.config.watch import ConfigWatch
from tests.fakes.controlplane import FakeControlPlane


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that another task brings about."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def task_of(work: Any) -> AsyncIterator[None]:
    """Run something, and end it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Crew:
    """A leading worker and others, in one process, whose messages pass as a supervisor passes them."""

    def __init__(self, plane: FakeControlPlane, path: Path, count: int = 2) -> None:
        self.plane = plane
        self.board = Board.create()
        self.saved = SavedConfiguration(path)
        self.leader = ConfigState()
        self.to_leader: asyncio.Queue[Message] = asyncio.Queue()
        self.others = [ConfigState() for _ in range(count)]
        self.to_others: list[asyncio.Queue[Message]] = [asyncio.Queue() for _ in range(count)]
        # Messages to all others that are lost on the way.
        self.loses: Callable[[Message], bool] = lambda _: False
        self.messages: list[Message] = []

    def agree(self, *revisions: int) -> bool:
        """Whether all run one of these, the newest without any."""
        wanted = revisions or (self.plane.revision,)
        return all(state.revision in wanted for state in (self.leader, *self.others))

    @asynccontextmanager
    async def leading(self, token: str = "") -> AsyncIterator[None]:
        """Have a leading worker run."""
        async with ControlClient(self.plane.address, token or self.plane.token) as client:
            relay = Relay(self.leader, self.board, self.to_leader, self._to_others)
            watch = ConfigWatch(client.nodes, self.leader, self.saved, "1.2.3", relay=relay)
            await watch.start_from_saved()
            async with task_of(watch.run()):
                yield

    @asynccontextmanager
    async def following(self, index: int) -> AsyncIterator[None]:
        """Have another worker run."""
        follow = ConfigFollow(
            self.others[index], self.board, self.saved, self.to_others[index], self._to_leader
        )
        await follow.start_from_saved()
        async with task_of(follow.run()):
            yield

    def _to_others(self, message: Message) -> None:
        self.messages.append(message)
        if not self.loses(message):
            for queue in self.to_others:
                queue.put_nowait(message)

    def _to_leader(self, message: Message) -> None:
        known = [state.revision for state in self.others if state.revision]
        self.to_leader.put_nowait({"revision": min(known, default=None)})


@pytest.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    """A control plane."""
    async with FakeControlPlane() as plane:
        plane.add_artifact("acme/app")
        yield plane


@pytest.fixture
async def crew(plane: FakeControlPlane, tmp_path: Path) -> AsyncIterator[Crew]:
    """All of them running, and of one mind."""
    crew = Crew(plane, tmp_path / "saved")
    async with AsyncExitStack() as stack:
        stack.callback(crew.board.close)
        await stack.enter_async_context(crew.following(0))
        await stack.enter_async_context(crew.leading())
        await stack.enter_async_context(crew.following(1))
        await until(crew.agree)
        yield crew


async def test_all_change_together(crew: Crew) -> None:
    """By one stream for all; the control plane hears of a revision when every worker runs it."""
    for number in range(5):
        crew.plane.add_artifact(f"acme/app-{number}")
    await until(crew.agree)
    newest = crew.leader.configuration
    assert all(state.configuration == newest for state in crew.others)
    assert crew.plane.calls["WatchConfig"] == 1
    await until(lambda: crew.plane.reports[-1].revision == crew.plane.revision)
    # What followers are sure of is what the one that asks is sure of.
    before = crew.others[0].confirmed_at
    await until(lambda: crew.others[0].confirmed_at != before)
    assert crew.others[0].interruption == ""


async def test_all_get_what_the_version_before_did_not_understand(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    """A node that was updated has saved less under the same revision, which its workers start with."""
    before = plane.snapshot()
    del before.artifacts[:]
    crew = Crew(plane, tmp_path / "saved")
    crew.saved.save(from_message(before))
    async with AsyncExitStack() as stack:
        stack.callback(crew.board.close)
        for index in range(2):
            await stack.enter_async_context(crew.following(index))
        assert crew.others[0].revision == plane.revision
        await stack.enter_async_context(crew.leading())
        await until(
            lambda: all(
                "acme/app" in state.configuration.repositories for state in crew.others if state.configuration
            )
        )
        # Later changes are taken as ever.
        plane.add_artifact("acme/other")
        await until(crew.agree)
        assert all(state.configuration == crew.leader.configuration for state in crew.others)


async def test_a_worker_that_stays_behind_is_reported(crew: Crew) -> None:
    """The node runs what the slowest of its workers runs."""
    behind = crew.plane.revision
    crew.loses = lambda _: True
    crew.plane.add_artifact("acme/other")
    await until(lambda: crew.leader.revision > behind)
    await until(lambda: crew.plane.reports[-1].revision == behind)
    assert crew.agree(behind, crew.plane.revision)
    crew.loses = lambda _: False
    await until(lambda: crew.plane.reports[-1].revision == crew.plane.revision)
    assert crew.agree()


async def test_a_change_that_was_missed_is_read_from_the_board(crew: Crew) -> None:
    """Also when it is one of several."""
    crew.loses = lambda message: "change" in message
    crew.plane.add_artifact("acme/lost")
    crew.plane.add_artifact("acme/lost-as-well")
    await until(crew.agree)
    assert all(state.configuration == crew.leader.configuration for state in crew.others)


async def test_a_change_that_is_too_large_to_be_sent(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reaches the others by the board."""
    monkeypatch.setattr("dataplane.config.relay._LONGEST_CHANGE", 1)
    crew.plane.add_artifact("acme/large")
    await until(crew.agree)
    assert not any("change" in message for message in crew.messages)


async def test_a_refused_configuration_is_told_by_all(crew: Crew) -> None:
    """None of them runs it."""
    artifact = next(iter(crew.plane.artifacts.values()))
    good, artifact.repository = crew.plane.revision, "globex/app"
    crew.plane.touch(artifact)
    await until(lambda: all("outside its organization" in state.refusal for state in crew.others))
    assert crew.agree(good)
    artifact.repository = "acme/renamed"
    crew.plane.touch(artifact)
    await until(crew.agree)
    assert not any(state.refusal for state in crew.others)


async def test_the_control_plane_goes_and_comes(crew: Crew) -> None:
    """All say so, go on with what they have, and follow again."""
    await crew.plane.stop()
    await until(lambda: all(state.interruption for state in crew.others))
    assert crew.agree()
    await crew.plane.start()
    await until(lambda: not any(state.interruption for state in crew.others))


async def test_a_leading_worker_that_is_replaced(plane: FakeControlPlane, tmp_path: Path) -> None:
    """While the control plane is away, on a disk that takes nothing: the others lose nothing by it."""
    (tmp_path / "file").write_bytes(b"in the way")
    crew = Crew(plane, tmp_path / "file" / "saved")
    async with crew.following(0), crew.following(1):
        async with crew.leading():
            await until(crew.agree)
            await until(lambda: crew.board.read() is not None)
        await plane.stop()
        crew.leader = ConfigState()
        async with crew.leading():
            assert crew.agree()
            await until(lambda: crew.leader.interruption != "not connected yet")
            await plane.start()
            plane.add_artifact("acme/later")
            await until(crew.agree)
    crew.board.close()


async def test_a_new_worker_starts_with_what_the_node_runs(crew: Crew, tmp_path: Path) -> None:
    """Without a word from the control plane, and without the file."""
    await crew.plane.stop()
    newcomer = ConfigState()
    nobody: asyncio.Queue[Message] = asyncio.Queue()
    saved = SavedConfiguration(tmp_path / "none")
    await ConfigFollow(newcomer, crew.board, saved, nobody, lambda _: None).start_from_saved()
    assert newcomer.configuration == crew.leader.configuration


async def test_a_leading_worker_says_nothing_of_what_it_has_not_heard(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    """It may have started with less than the others run: they do not go back."""
    crew = Crew(plane, tmp_path / "saved")
    async with crew.following(0), crew.following(1):
        async with crew.leading():
            await until(crew.agree)
            await until(lambda: crew.saved.load())
        old = crew.saved.path.read_bytes()
        async with crew.leading():
            plane.add_artifact("acme/newer")
            await until(crew.agree)
            # Not one that is still being written may come after the old one below.
            await until(lambda: (saved := crew.saved.load()) and saved[0].revision == plane.revision)
        newer = plane.revision
        await plane.stop()
        crew.saved.path.write_bytes(old)
        crew.board.close()
        crew.board = Board.create()
        crew.messages.clear()
        crew.leader = ConfigState()
        async with crew.leading():
            await until(lambda: crew.messages)
            assert crew.leader.revision < newer
            assert [state.revision for state in crew.others] == [newer, newer]
    crew.board.close()
