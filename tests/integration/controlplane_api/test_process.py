"""`python -m controlplane` as a process: starting, stopping and dying."""

import asyncio
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients.control.client import ControlClient
from clients.control.token import is_well_formed
from penstock.v1 import organization_pb2, user_pb2
from tests.servers.control_plane import refused

ROOT = Path(__file__).parents[3]
READY = re.compile(r"Control plane ready: gRPC at (\S+), HTTP at (\S+)\.\n")


def _environment(data: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return {
        **kept,
        "PENSTOCK_DATA_DIR": str(data),
        "PENSTOCK_GRPC_LISTEN": "127.0.0.1:0",
        "PENSTOCK_HTTP_LISTEN": "127.0.0.1:0",
        **settings,
    }


@dataclass
class Started:
    """A process that said that it is ready."""

    process: asyncio.subprocess.Process
    # What it printed, the line that says so included.
    output: str
    grpc: str

    async def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal; give the exit code and what was still written to both outputs."""
        self.process.send_signal(number)
        async with asyncio.timeout(30):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()


async def _spawn(environment: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "controlplane",
        *arguments,
        env=environment,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def _started(data: Path, **settings: str) -> AsyncIterator[Started]:
    process = await _spawn(_environment(data, **settings))
    assert process.stdout is not None
    try:
        output = ""
        async with asyncio.timeout(60):
            while not (ready := READY.search(output)):
                line = await process.stdout.readline()
                assert line, (await process.communicate())[1].decode()
                output += line.decode()
        yield Started(process, output, ready.group(1))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run to the end; give exit code and both outputs."""
    process = await _spawn(environment, *arguments)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_first_start_shows_the_token_and_no_later_one_does(tmp_path: Path) -> None:
    """Two lines on standard output at first, one afterwards; everything written is private.

    A setting that is misspelled is told in the log, once.
    """
    data = tmp_path / "data"
    async with _started(data, PENSTOCK_DATABASE_ULR="sqlite:///elsewhere") as first:
        token = (data / "admin-token").read_text().strip()
        assert is_well_formed(token)
        assert first.output.count(token) == 1
        assert len(first.output.splitlines()) == 2
        async with ControlClient(first.grpc, token) as root:
            await root.organizations.ListOrganizations(organization_pb2.ListOrganizationsRequest())
        code, out, err = await first.end()
        assert (code, out) == (0, "")
        assert token not in err
        assert "Traceback" not in err
        assert err.count("PENSTOCK_DATABASE_URL may be meant") == 1
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in data.glob("*")}
    assert set(modes) >= {"admin-token", "node-token", "controlplane.db"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(data.stat().st_mode) == 0o700

    async with _started(data) as second:
        assert READY.fullmatch(second.output)
        assert (data / "admin-token").read_text().strip() == token
        async with ControlClient(second.grpc, token) as root:
            await root.organizations.ListOrganizations(organization_pb2.ListOrganizationsRequest())
        code, out, err = await second.end(signal.SIGINT)
        assert (code, out) == (0, "")
        assert token not in err


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_to_a_kill(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing: every answer that came is still true after the restart."""
    data = tmp_path / "data"
    acknowledged: list[str] = []
    answered = asyncio.Semaphore(0)

    async def create(root: ControlClient, number: int) -> None:
        created = await root.organizations.CreateOrganization(
            organization_pb2.CreateOrganizationRequest(organization_id=f"org-{number}")
        )
        acknowledged.append(created.name)
        answered.release()

    for run in range(3):
        async with _started(data) as plane:
            token = (data / "admin-token").read_text().strip()
            async with ControlClient(plane.grpc, token) as root:
                writing = [asyncio.create_task(create(root, run * 1000 + n)) for n in range(200)]
                for _ in range(20):
                    await answered.acquire()
                await plane.end(signal.SIGKILL)
                await asyncio.gather(*writing, return_exceptions=True)
    async with _started(data) as plane, ControlClient(plane.grpc, token) as root:
        answer = await root.organizations.ListOrganizations(
            organization_pb2.ListOrganizationsRequest(page_size=1000)
        )
        await plane.end()
    assert {item.name for item in answer.organizations} >= set(acknowledged)


async def test_a_lost_token_is_replaced(tmp_path: Path) -> None:
    """`reset-token admin` works beside a running control plane; the old token is refused at once."""
    data = tmp_path / "data"
    async with _started(data) as plane:
        old = (data / "admin-token").read_text().strip()
        (data / "admin-token").unlink()
        code, out, _ = await _run(_environment(data), "reset-token", "admin")
        new = out.strip()
        assert code == 0
        assert (data / "admin-token").read_text().strip() == new != old
        request = user_pb2.ListUsersRequest(parent="organizations/nowhere")
        async with ControlClient(plane.grpc, old) as root:
            assert (await refused(root.users.ListUsers(request))).code.name == "UNAUTHENTICATED"
        async with ControlClient(plane.grpc, new) as root:
            assert (await refused(root.users.ListUsers(request))).code.name == "NOT_FOUND"
        await plane.end()
