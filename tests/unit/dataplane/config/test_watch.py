"""Following the configuration, against a real gRPC server that is stopped, started, and sends nonsense."""

import asyncio
from pathlib import Path

import grpc
import pytest

from clients.control.token import sha256
from dataplane.http.readiness import details
from penstock.v1.config_pb2 import ArtifactConfig, ConfigurationChange
from penstock.v1.node_pb2 import WatchConfigResponse
from tests.fakes.aborts import Fault
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.estate import FakeArtifact
from tests.unit.dataplane.config.following import following, until


async def test_changes_come_into_force_and_are_saved_and_reported(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    """First the whole, then every change; the control plane hears the revision, the disk keeps it."""
    plane.add_artifact("acme/app")
    async with following(plane, tmp_path / "saved") as node:
        await until(lambda: node.knows("acme/app"))
        secret = plane.add_token()
        plane.add_artifact("acme/other")
        await until(lambda: node.knows("acme/other"))
        assert node.state.configuration is not None
        assert sha256(secret) in node.state.configuration.principals
        plane.remove_token(secret)
        await until(lambda: node.state.revision == plane.revision)
        assert sha256(secret) not in node.state.configuration.principals
        await until(lambda: plane.reports and plane.reports[-1].revision == plane.revision)
        assert (plane.reports[-1].version, plane.reports[-1].config_error) == ("1.2.3", "")
        await until(lambda: (loaded := node.saved.load()) and loaded[0].revision == plane.revision)


async def test_a_broken_stream_is_not_a_deletion(
    plane: FakeControlPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is in force stays while the control plane is away, grows old, and is renewed afterwards."""
    plane.add_artifact("acme/app")
    async with following(plane, tmp_path / "saved") as node:
        await until(lambda: node.knows("acme/app"))
        await plane.stop()
        await until(lambda: node.state.interruption)
        assert node.knows("acme/app")
        plane.add_artifact("acme/other")
        await plane.start()
        await until(lambda: node.knows("acme/other"))
        await until(lambda: not node.state.interruption)
    assert "goes on with revision" in caplog.text


async def test_what_comes_in_pieces_counts_once_it_is_whole(plane: FakeControlPlane, tmp_path: Path) -> None:
    """A snapshot or a change whose last piece did not come is nothing, and the node asks again."""
    one, two = plane.add_artifact("acme/one"), plane.add_artifact("acme/two")

    def piece(*artifacts: FakeArtifact, continued: bool) -> WatchConfigResponse:
        change = ConfigurationChange(
            from_revision=plane.revision,
            to_revision=plane.revision + 1,
            artifacts=[
                ArtifactConfig(
                    uid=artifact.uid,
                    organization_uid=artifact.organization_uid,
                    repository=artifact.repository + "-new",
                )
                for artifact in artifacts
            ],
        )
        return WatchConfigResponse(change=change, continued=continued)

    async with following(plane, tmp_path / "saved") as node:
        await until(lambda: node.knows("acme/two"))
        plane.send(piece(one, continued=True))
        plane.send(WatchConfigResponse(heartbeat=WatchConfigResponse.Heartbeat(revision=plane.revision)))
        await until(lambda: "not sent to its end" in node.state.interruption)
        await until(lambda: not node.state.interruption)
        assert node.knows("acme/one")
        assert not node.knows("acme/one-new")
        # No heartbeat may come in between.
        plane.heartbeat = 60.0
        plane.end_streams()
        await until(lambda: node.state.interruption)
        await until(lambda: not node.state.interruption)
        first, last = piece(one, continued=True), piece(two, continued=False)
        plane.revision += 1
        plane.send(first)
        plane.send(last)
        await until(lambda: node.state.revision == plane.revision)
        assert node.knows("acme/one-new")
        assert node.knows("acme/two-new")


async def test_a_node_starts_from_what_it_saved(plane: FakeControlPlane, tmp_path: Path) -> None:
    """With its age, while the control plane is away; and follows it when it is back."""
    plane.add_artifact("acme/app")
    async with following(plane, tmp_path / "saved") as node:
        await until(lambda: node.saved.load())
    await plane.stop()
    async with following(plane, tmp_path / "saved") as node:
        assert node.knows("acme/app")
        assert node.state.age is not None
        await until(lambda: node.state.interruption != "not connected yet")
        await plane.start()
        await until(lambda: not node.state.interruption)


async def test_a_refused_configuration_changes_nothing(
    plane: FakeControlPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason is reported and logged once, however often it is sent; the next good one is taken."""
    artifact = plane.add_artifact("acme/app")
    async with following(plane, tmp_path / "saved") as node:
        await until(lambda: node.knows("acme/app"))
        good = node.state.revision
        artifact.repository = "globex/app"
        plane.touch(artifact)
        await until(lambda: plane.reports and plane.reports[-1].config_error)
        assert "outside its organization" in plane.reports[-1].config_error
        assert plane.reports[-1].revision == good
        assert node.knows("acme/app")
        # Connected anew, it is sent the same again.
        plane.end_streams()
        await until(lambda: plane.calls["WatchConfig"] >= 2)
        await until(lambda: not node.state.interruption)
        assert node.state.revision == good
        artifact.repository = "acme/renamed"
        plane.touch(artifact)
        await until(lambda: node.knows("acme/renamed"))
        assert node.state.refusal == ""
    assert len([record for record in caplog.records if "is refused" in record.getMessage()]) == 1


async def test_a_missed_change_makes_the_node_ask_again(plane: FakeControlPlane, tmp_path: Path) -> None:
    """Seen by a heartbeat of another revision, or a change that does not fit."""
    plane.add_artifact("acme/app")
    async with following(plane, tmp_path / "saved") as node:
        await until(lambda: node.knows("acme/app"))
        # Watchers are not told of this one.
        watchers, plane.watchers = plane.watchers, set()
        plane.add_artifact("acme/missed")
        plane.watchers = watchers
        await until(lambda: node.knows("acme/missed"))
        wrong = WatchConfigResponse()
        wrong.change.from_revision = 1000
        wrong.change.to_revision = 1001
        asked = plane.calls["WatchConfig"]
        plane.send(wrong)
        await until(lambda: plane.calls["WatchConfig"] > asked)
        assert node.knows("acme/missed")


async def test_something_new_in_the_stream_is_passed_over(plane: FakeControlPlane, tmp_path: Path) -> None:
    """A control plane may be newer than its nodes."""
    async with following(plane, tmp_path / "saved") as node:
        await until(lambda: node.state.configuration)
        plane.send(WatchConfigResponse())
        plane.add_artifact("acme/app")
        await until(lambda: node.knows("acme/app"))
        assert plane.calls["WatchConfig"] == 1


async def test_a_newer_control_plane_is_followed(
    plane: FakeControlPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is not understood is passed over, and said once; nothing is refused, and later changes come."""
    artifact = plane.add_artifact("acme/app")
    async with following(plane, tmp_path / "saved") as node:
        await until(lambda: node.knows("acme/app"))
        artifact.cache = {"pin_tags": ["{newest}"]}
        for _ in range(3):
            plane.touch(artifact)
        plane.add_artifact("acme/other")
        await until(lambda: node.knows("acme/other"))
        await until(lambda: plane.reports and plane.reports[-1].revision == node.state.revision)
        assert plane.reports[-1].config_error == ""
        assert plane.reports[-1].passed_over_count == 1
        assert "{newest}" in plane.reports[-1].passed_over
        told = details(node.state, draining=False)
        assert told["ready"]
        assert told["configuration"]["passed_over"] == {"count": 1, "last": plane.reports[-1].passed_over}
        assert plane.calls["WatchConfig"] == 1
        # It goes, as with an update of either side.
        artifact.cache = {}
        plane.touch(artifact)
        await until(lambda: plane.reports[-1].passed_over_count == 0)
        assert plane.reports[-1].passed_over == ""
    assert len([text for text in caplog.messages if "{newest}" in text and "update this node" in text]) == 1


async def test_silence_is_a_broken_stream(plane: FakeControlPlane, tmp_path: Path) -> None:
    """A connection that is dead without having ended is given up."""
    plane.heartbeat = 1000
    async with following(plane, tmp_path / "saved", silence=0.1) as node:
        await until(lambda: plane.calls["WatchConfig"] >= 2)
        assert node.state.configuration is not None


async def test_a_stream_that_ends_is_opened_again(plane: FakeControlPlane, tmp_path: Path) -> None:
    """As when the control plane drains for a restart."""
    async with following(plane, tmp_path / "saved") as node:
        await until(lambda: node.state.configuration)
        plane.end_streams()
        await until(lambda: plane.calls["WatchConfig"] >= 2)


async def test_a_token_that_is_refused_is_told_once(
    plane: FakeControlPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The node goes on trying, and its log says what is wrong without the token."""
    async with following(plane, tmp_path / "saved", token="psn_wrong") as node:
        await until(lambda: plane.calls["WatchConfig"] >= 3)
        assert node.state.configuration is None
    told = [
        record.getMessage() for record in caplog.records if "refuses this node's token" in record.getMessage()
    ]
    assert len(told) == 1
    assert "psn_wrong" not in caplog.text


async def test_a_configuration_that_cannot_be_saved_is_in_force_all_the_same(
    plane: FakeControlPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says once what that means for a restart; and it is saved as soon as the disk takes it."""
    monkeypatch.setattr("dataplane.config.saved._AGAIN", 0.05)
    (tmp_path / "folder").write_bytes(b"in the way")
    async with following(plane, tmp_path / "folder" / "saved") as node:
        plane.add_artifact("acme/app")
        await until(lambda: node.knows("acme/app"))
        await until(lambda: "could not be saved" in caplog.text)
        await asyncio.sleep(0.2)
        (tmp_path / "folder").unlink()
        await until(lambda: (tmp_path / "folder" / "saved").exists())
        found = node.saved.load()
        assert found is not None
        assert found[0] == node.state.configuration
    assert caplog.text.count("could not be saved") == 1


async def test_a_report_that_fails_does_no_harm(plane: FakeControlPlane, tmp_path: Path) -> None:
    """It is made again with the next change."""
    plane.faults["ReportStatus"] = Fault(grpc.StatusCode.INTERNAL)
    async with following(plane, tmp_path / "saved") as node:
        await until(lambda: plane.calls["ReportStatus"])
        del plane.faults["ReportStatus"]
        plane.add_artifact("acme/app")
        await until(lambda: plane.reports)
        assert node.knows("acme/app")
