"""A node that shows certificates tells when they end."""

import asyncio
import re
import time
from pathlib import Path

import pytest

from clients.process import replaced
from dataplane.certificates import certificate_expiry
from dataplane.settings import Settings
from tests.integration.dataplane.conftest import Setup
from tests.servers.certificates import Authority

DAY = 86400


async def until(setup: Setup, file: Path) -> float:
    """When it ends, as scrapers are told."""
    answer = await setup.request("GET", "/metrics", base=setup.node.node_address)
    name = "penstock_node_certificate_expiry_timestamp_seconds"
    found = re.findall(rf'^{name}{{file="(.*)"}} (\S+)$', answer.body.decode(), re.MULTILINE)
    assert [path for path, _ in found] == [str(file)]
    return float(found[0][1])


async def test_what_the_registry_shows(setup: Setup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Told soon after a renewal, though nobody connected since; of what is shown, not of the file."""
    monkeypatch.setattr(replaced, "_LOOK", 0.02)
    authority = Authority()
    pair = authority.issue(tmp_path, "127.0.0.1")
    await setup.restart(tls_certificate=pair.certificate, tls_key=pair.key)
    first = await until(setup, pair.certificate)
    assert 0 < first - time.time() < 2 * DAY
    authority.issue(tmp_path, "127.0.0.1", days=90)
    renewed = first
    async with asyncio.timeout(30):
        while renewed == first:
            renewed = await until(setup, pair.certificate)
    assert 88 * DAY < renewed - first < 90 * DAY
    pair.certificate.write_text("nonsense")
    await asyncio.sleep(0.1)
    assert await until(setup, pair.certificate) == renewed


def test_what_the_control_plane_is_shown(tmp_path: Path) -> None:
    """It is a certificate like the other, and a node that has lost it is cut off."""
    authority = Authority()
    own = authority.issue(tmp_path, "node", days=3)
    settings = Settings(
        address="https://controlplane:1",
        ca_file=authority.write(tmp_path),
        client_certificate=own.certificate,
        client_key=own.key,
    )
    (family,) = certificate_expiry(settings, None).collect()
    (sample,) = family.samples
    assert sample.labels == {"file": str(own.certificate)}
    assert 2 * DAY < sample.value - time.time() < 4 * DAY
    (without,) = certificate_expiry(Settings(), None).collect()
    assert not without.samples
