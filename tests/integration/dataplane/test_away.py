"""Without a control plane, without an upstream, and before there is a first configuration."""

import asyncio
from pathlib import Path

import pytest

from tests.fakes.blobs import content_of
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane.conftest import Setup, until


async def test_before_the_first_configuration(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """503 with Retry-After for everybody, alive but not ready; then it serves."""
    await plane.stop()
    setup = Setup(plane, fake, tmp_path / "data")
    try:
        await setup.node.start()
        for path in ("/v2/", "/v2/acme/app/manifests/1.0"):
            answer = await setup.request("GET", path)
            assert (answer.status, answer.code) == (503, "UNAVAILABLE")
            assert int(answer.headers["Retry-After"]) > 0
        assert (await setup.request("GET", "/healthz", base=setup.node.node_address)).status == 200
        ready = await setup.request("GET", "/readyz", base=setup.node.node_address)
        assert (ready.status, ready.json["ready"]) == (503, False)
        assert await setup.metric("penstock_node_config_revision") == 0
        await plane.start()
        await setup.in_force()
        assert (await setup.request("GET", "/v2/")).status == 200
        assert (await setup.request("GET", "/readyz", base=setup.node.node_address)).status == 200
    finally:
        await setup.close()


async def test_the_node_waits_for_its_token(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The control plane may be started later, and then leaves it in the data directory."""
    setup = Setup(plane, fake, tmp_path / "data")
    setup.node = setup.new_node(node_token="")
    try:
        await setup.node.start()
        assert (await setup.request("GET", "/v2/")).status == 503
        await until(lambda: "waits for its token" in caplog.text)
        (tmp_path / "data" / "node-token").write_text(plane.token + "\n")
        await setup.in_force()
        assert (await setup.request("GET", "/v2/")).status == 200
    finally:
        await setup.close()


@pytest.mark.usefixtures("at_rest")
async def test_what_was_pulled_is_served_without_anybody(setup: Setup) -> None:
    """Control plane and upstream stopped, the node restarted: manifests, blobs and tags as before."""
    image = make_image([b"one", 600_000])
    await setup.artifact(image)
    paths = ["manifests/1.0", f"manifests/{image.digest}", "tags/list", *(f"blobs/{d}" for d in image.blobs)]
    before = [await setup.get(path) for path in paths]
    await until(lambda: (setup.data_dir / "node" / "configuration.pb").exists())
    await setup.plane.stop()
    await setup.upstream.stop()
    for restart in (False, True):
        if restart:
            await setup.restart()
            await until(lambda: setup.node.state.revision)
        for path, expected in zip(paths, before, strict=True):
            answer = await setup.get(path)
            assert (answer.status, answer.body) == (200, expected.body)
        # What was never asked for cannot be had, which is not the same as that it is not there.
        answer = await setup.get("manifests/2.0")
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        assert "Retry-After" in answer.headers
    ready = await setup.request("GET", "/readyz", base=setup.node.node_address)
    assert (ready.status, ready.json["configuration"]["interruption"] != "") == (200, True)
    assert await setup.metric("penstock_node_config_age_seconds") > 0
    assert await setup.metric("penstock_node_config_following") == 0


@pytest.mark.usefixtures("at_rest")
async def test_blobs_come_from_the_upstream_while_the_control_plane_is_away(setup: Setup) -> None:
    """The access that was granted serves as long as it lasts."""
    image = make_image([b"one", b"two"])
    await setup.artifact(image)
    await setup.get("manifests/1.0")
    first, second, *_ = image.layers
    assert (await setup.get(f"blobs/{first.digest}")).status == 200
    await setup.plane.stop()
    assert (await setup.get(f"blobs/{second.digest}")).body == content_of(second)


@pytest.mark.usefixtures("at_rest")
async def test_a_moved_tag_is_served_at_once_and_kept_when_the_control_plane_goes(setup: Setup) -> None:
    """New content follows the configuration; stale content is served only to bridge an absence."""
    artifact = await setup.artifact(make_image())
    await setup.get("manifests/1.0")
    newer = make_image(seed=1)
    setup.plane.hold(artifact, newer, ["1.0"])
    await setup.in_force()
    assert (await setup.get("manifests/1.0")).body == newer.manifest
    newest = make_image(seed=2)
    setup.plane.hold(artifact, newest, ["1.0"])
    await setup.in_force()
    await setup.plane.stop()
    assert (await setup.get("manifests/1.0")).body == newer.manifest
    assert await setup.metric("penstock_node_manifest_lookups_total", source="stale") == 1
    await setup.plane.start()
    await until(lambda: not setup.node.state.interruption)
    await setup.in_force()
    assert (await setup.get("manifests/1.0")).body == newest.manifest


@pytest.mark.usefixtures("at_rest")
async def test_a_damaged_saved_configuration_is_no_obstacle(setup: Setup) -> None:
    """The node waits for the control plane as on its first start."""
    await setup.artifact(make_image())
    saved = setup.data_dir / "node" / "configuration.pb"
    await until(saved.exists)
    await setup.node.stop()
    saved.write_bytes(b"\xff" * 100)
    await setup.restart()
    await setup.in_force()
    assert (await setup.get("manifests/1.0")).status == 200


@pytest.mark.usefixtures("at_rest")
async def test_many_who_want_the_same_manifest_make_one_call(setup: Setup) -> None:
    """However slowly it is answered, and although the first of them leaves."""
    image = make_image()
    await setup.artifact(image)
    gate = setup.plane.gates["ResolveReference"] = asyncio.Event()
    pulls = [asyncio.create_task(setup.get("manifests/1.0")) for _ in range(32)]
    await until(lambda: setup.plane.calls["ResolveReference"])
    pulls[0].cancel()
    gate.set()
    answers = await asyncio.gather(*pulls[1:])
    assert {answer.body for answer in answers} == {image.manifest}
    assert setup.plane.calls["ResolveReference"] == 1
    await asyncio.gather(pulls[0], return_exceptions=True)
