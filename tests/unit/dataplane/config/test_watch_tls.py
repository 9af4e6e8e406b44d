"""Following the configuration of a control plane with TLS, where something is wrong with that."""

from pathlib import Path

import pytest

from tests.fakes.controlplane import FakeControlPlane
from tests.unit.dataplane.config.following import following, until


async def test_what_is_wrong_with_tls_is_told(
    plane: FakeControlPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a look at the connection finds stands where gRPC's own words would; in the log once for each."""
    found = ["The certificate has expired.", "The certificate has expired.", "It is not for this name.", ""]
    looks = iter([*found, *([""] * 100)])

    async def diagnose() -> str:
        return next(looks)

    plane.add_artifact("acme/app")
    async with following(plane, tmp_path / "saved", diagnose=diagnose) as node:
        await until(lambda: node.knows("acme/app"))
        await plane.stop()
        for sentence in ("The certificate has expired", "It is not for this name"):
            await until(lambda sentence=sentence: node.state.interruption == sentence)
        await plane.start()
        await until(lambda: not node.state.interruption)
    for sentence in found[1:3]:
        assert caplog.text.count(sentence.rstrip(".")) == 1
