"""Workers that hang, and who waited for them: nobody waits long, and where it was is told."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane.test_process import offer
from tests.integration.dataplane.test_workers import node_of


async def test_a_worker_that_hangs_is_replaced(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """What waited for it is served all the same; it is said why, and counted."""
    image = make_image()
    token = offer(plane, fake, image)
    path = "/v2/acme/app/manifests/1.0"
    async with node_of(plane, tmp_path / "data", 2, WORKER_TIMEOUT="2s") as node:
        await node.process.get(path, token)
        before = node.workers()
        os.kill(max(before), signal.SIGSTOP)
        # Half of them are in its own queue, and of the others it is given every second.
        answers = await asyncio.gather(*(node.process.get(path, token) for _ in range(40)))
        assert answers == [image.manifest] * 40
        await node.restarted(1)
        await node.serving(2)
        assert max(before) not in node.workers()
        assert await node.metric("penstock_node_worker_hangs_total") == 1
        for _ in range(20):
            assert await node.process.get(path, token) == image.manifest
    assert "Worker 1 has done nothing for 2 seconds, and is killed." in node.process.errors


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every process that is started here hang, in a function of this name, when it gets SIGUSR2."""
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, time\n"
        "def hanging(number, frame):\n"
        "    while True:\n"
        "        time.sleep(0.01)\n"
        "signal.signal(signal.SIGUSR2, hanging)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("hanging")
async def test_where_a_worker_hung_is_in_the_log(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """Nobody could find it out afterwards: the stacks of its threads, in one record."""
    offer(plane, fake, make_image())
    async with node_of(plane, tmp_path / "data", 2, WORKER_TIMEOUT="1s", LOG_FORMAT="json") as node:
        os.kill(max(node.workers()), signal.SIGUSR2)
        async with asyncio.timeout(60):
            await node.restarted(1)
    records = [json.loads(line) for line in node.process.errors.splitlines()]
    (said,) = [record["message"] for record in records if "has done nothing" in record["message"]]
    assert said.startswith("Worker 1 has done nothing for 1 seconds, and is killed. It was here:\n")
    assert "sitecustomize.py" in said
    assert " in hanging\n" in said


@pytest.mark.usefixtures("hanging")
async def test_a_node_of_one_process_ends_when_it_hangs(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """With a failure's exit code, so that it is started again, and its stacks; not because it was stopped."""
    image = make_image()
    token = offer(plane, fake, image)
    async with node_of(plane, tmp_path / "data", 1, WORKER_TIMEOUT="1s") as node:
        process = node.process.process
        for number, wait in ((signal.SIGSTOP, 1.5), (signal.SIGCONT, 1.5)):
            process.send_signal(number)
            await asyncio.sleep(wait)
        assert await node.process.get("/v2/acme/app/manifests/1.0", token) == image.manifest
        process.send_signal(signal.SIGUSR2)
        async with asyncio.timeout(60):
            assert await process.wait() == 1
    assert "The node has done nothing for 1 seconds, and ends. It was here:" in node.process.errors
    assert " in hanging" in node.process.errors


async def test_nobody_waits_for_a_worker_that_hangs(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """What the kernel gave to it is served by the others, long before it is killed; it is here never."""
    image = make_image()
    token = offer(plane, fake, image)
    path = "/v2/acme/app/manifests/1.0"
    async with node_of(plane, tmp_path / "data", 2, WORKER_TIMEOUT="0s") as node:
        await node.process.get(path, token)
        hangs = max(node.workers())
        os.kill(hangs, signal.SIGSTOP)
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(node.process.get(path, token) for _ in range(40)))
        assert answers == [image.manifest] * 40
        os.kill(hangs, signal.SIGCONT)
        await node.serving(2)
        assert await node.metric("penstock_node_worker_restarts_total") == 0


async def test_what_waits_for_a_worker_that_dies_is_served(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """Connections that it had not taken yet do not end with it, nor where it was the last that was left."""
    image = make_image()
    token = offer(plane, fake, image)
    path = "/v2/acme/app/manifests/1.0"
    async with node_of(plane, tmp_path / "data", 2) as node:
        await node.process.get(path, token)
        for dying in (slice(1), slice(2)):
            pids = sorted(node.workers())
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            pulls = [asyncio.create_task(node.process.get(path, token)) for _ in range(20)]
            await asyncio.sleep(0.2)
            for pid in pids[dying]:
                os.kill(pid, signal.SIGKILL)
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            async with asyncio.timeout(60):
                assert await asyncio.gather(*pulls) == [image.manifest] * 20
                await node.serving(2)


async def test_a_node_that_was_stopped_as_a_whole_goes_on(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """A container that is paused, or a machine that sleeps: nobody hangs, whoever wakes first."""
    image = make_image()
    token = offer(plane, fake, image)
    async with node_of(plane, tmp_path / "data", 2, WORKER_TIMEOUT="1s") as node:
        workers = node.workers()
        whole = [node.process.process.pid, *workers]
        for pid in reversed(whole):
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(1.5)
        for pid in whole:
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.3)
        for _ in range(20):
            assert await node.process.get("/v2/acme/app/manifests/1.0", token) == image.manifest
        assert node.workers() == workers
        assert await node.metric("penstock_node_worker_hangs_total") == 0
