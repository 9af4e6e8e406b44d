"""Mistakes of the node itself, that nobody thought of, in following the configuration."""

from pathlib import Path

import pytest

from tests.fakes.controlplane import FakeControlPlane
from tests.unit.dataplane.config.following import following, until


async def test_a_mistake_of_the_node_ends_nothing(
    plane: FakeControlPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What follows the configuration fails in a way that nobody thought of: it goes on, and tries again."""

    async def diagnose() -> str:
        raise ValueError("unthought of")

    plane.add_artifact("acme/app")
    async with following(plane, tmp_path / "saved", diagnose=diagnose) as node:
        await until(lambda: node.knows("acme/app"))
        await plane.stop()
        await until(lambda: "failed to follow" in node.state.interruption)
        assert node.knows("acme/app")
        plane.add_artifact("acme/other")
        await plane.start()
        await until(lambda: node.knows("acme/other"))
        assert not node.state.interruption
    assert "unthought of" in caplog.text


async def test_what_nobody_foresaw_in_a_configuration_ends_nothing(
    plane: FakeControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node goes on with what it has, and says so: all workers would fail of the same, again and again."""
    artifact = plane.add_artifact("acme/app")
    async with following(plane, tmp_path / "saved") as node:
        await until(lambda: node.knows("acme/app"))
        with monkeypatch.context() as broken:
            broken.setattr("dataplane.config.watch.apply", lambda *_: 1 // 0)
            artifact.repository = "acme/renamed"
            plane.touch(artifact)
            await until(lambda: plane.reports and plane.reports[-1].config_error)
        assert "failed to read it" in plane.reports[-1].config_error
        assert node.knows("acme/app")
        artifact.repository = "acme/named-again"
        plane.touch(artifact)
        await until(lambda: node.knows("acme/named-again"))
        assert node.state.refusal == ""
