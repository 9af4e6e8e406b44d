"""The scene of the attacks, and the check that no log line of any of them has a secret."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.attacks.scene import SECRETS, Scene, staged
from tests.fakes.secrets import occurs
from tests.servers.certificates import Authority


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Stands in for the authorities that everybody trusts."""
    return Authority("Public CA of the tests")


@pytest.fixture
async def scene(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    """A private registry, its token service, a thief, and a service inside."""
    async with staged(tmp_path, authority, monkeypatch) as scene:
        yield scene


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails an attack after which a log line, at any level, has a secret."""
    caplog.set_level(logging.DEBUG)
    # Its records hold cursors, and captured ones keep connections open; tests/e2e searches such lines.
    caplog.set_level(logging.INFO, logger="aiosqlite")
    yield
    text = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.get_records("call"))
    assert not [secret for secret in SECRETS if occurs(secret, text.encode())]
