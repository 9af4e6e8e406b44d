"""What customers are entitled to goes on without the control plane and after a restart; nothing else does."""

import time

import pytest

from dataplane.config.saved import SavedConfiguration
from tests.fakes.images import Image
from tests.integration.dataplane.conftest import Setup, until
from tests.integration.dataplane.shop import Shop, layer, opened, version


@pytest.fixture
async def shop(setup: Setup) -> Shop:
    """A vendor whose customers see only what they are entitled to."""
    return await opened(setup)


async def test_what_is_resolved_goes_on_without_the_control_plane(shop: Shop) -> None:
    """For those who may have it and only for them, restarted too; an entitlement stops at its end."""
    setup = shop.setup
    ends = time.time() + 4
    lasting, ending = shop.customer("1.*"), shop.customer("1.*", expires_at=ends)
    other = shop.customer("2.*")
    await setup.in_force()
    mine = ["manifests/1.0", f"manifests/{shop.one.digest}"]
    mine += [f"manifests/{shop.one.children[0].digest}", f"blobs/{layer(shop.one)}"]
    theirs = ["manifests/2.0", f"manifests/{shop.two.digest}", f"manifests/{shop.two.children[0].digest}"]
    theirs.append(f"blobs/{layer(shop.two)}")
    for token, paths in ((lasting, mine), (other, theirs)):
        for path in paths:
            assert (await setup.request("GET", f"/v2/acme/app/{path}", token=token)).status == 200
    revision = setup.plane.revision
    await until(lambda: saved_revision(setup) == revision)
    await setup.plane.stop()
    for restart in (False, True):
        if restart:
            await setup.restart()
            await until(lambda: setup.node.state.revision == revision)
        for path in mine:
            assert (await setup.request("GET", f"/v2/acme/app/{path}", token=lasting)).status == 200
        for path in theirs[1:]:
            # It cannot be asked, which is not the same as that it is not there.
            assert (await setup.request("GET", f"/v2/acme/app/{path}", token=lasting)).status == 503
        assert (await setup.request("GET", f"/v2/acme/app/{theirs[0]}", token=lasting)).status == 404
        if not restart:
            assert (await setup.request("GET", "/v2/acme/app/manifests/1.0", token=ending)).status == 200
            await until(lambda: time.time() > ends)
        for path in mine:
            answer = await setup.request("GET", f"/v2/acme/app/{path}", token=ending)
            assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


async def test_blobs_that_were_pulled_alone_go_on_too(shop: Shop) -> None:
    """Their manifests came from elsewhere: who got a blob gets it after a restart, and nobody else does."""
    setup = shop.setup
    ends = time.time() + 5
    lasting, ending = shop.customer("1.*"), shop.customer("1.*", expires_at=ends)
    narrow, other = shop.customer("1.1"), shop.customer("2.*")
    await setup.in_force()
    mine, config = layer(shop.one), next(iter(shop.one.children[0].blobs))
    foreign = f"/v2/acme/app/blobs/{layer(shop.two)}"
    shared = f"/v2/acme/app/blobs/{shop.shared}"
    paths = [f"/v2/acme/app/blobs/{digest}" for digest in (mine, config)] + [shared]
    for token in (ending, lasting):
        for path in paths:
            assert (await setup.request("GET", path, token=token)).status == 200
    for path in (foreign, shared):
        assert (await setup.request("GET", path, token=other)).status == 200
    revision, asked = setup.plane.revision, setup.plane.calls["ResolveBlob"]
    assert setup.plane.calls["ResolveReference"] == 0
    await until(lambda: saved_revision(setup) == revision)
    # To ask again is not needed, whether there is somebody to ask or not.
    await setup.restart()
    await setup.in_force()
    for path in paths:
        assert (await setup.request("GET", path, token=lasting)).status == 200
    assert setup.plane.calls["ResolveBlob"] == asked
    await setup.plane.stop()
    await setup.restart()
    await until(lambda: setup.node.state.revision == revision)
    for path in paths:
        assert (await setup.request("GET", path, token=lasting)).status == 200
        assert (await setup.request("GET", path, token=setup.token)).status == 200
    for path in (foreign, shared):
        assert (await setup.request("GET", path, token=other)).status == 200
    # What leads to it is known of 1.0 and 2.0 only.
    for path, token in ((foreign, lasting), (paths[0], other), (shared, narrow)):
        assert (await setup.request("GET", path, token=token)).status == 503
    await until(lambda: time.time() > ends)
    for path in paths:
        answer = await setup.request("GET", path, token=ending)
        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


async def test_a_blob_whose_tag_moved_is_not_served_by_what_was_kept(shop: Shop) -> None:
    """What was known for an older content revision permits nothing, as it did before the restart."""
    setup = shop.setup
    token = shop.customer("1.*")
    await setup.in_force()
    path = f"/v2/acme/app/blobs/{layer(shop.one)}"
    assert (await setup.request("GET", path, token=token)).status == 200
    setup.plane.hold(shop.app, version(9), ["1.0", "1.1"])
    await setup.in_force()
    revision = setup.plane.revision
    await until(lambda: saved_revision(setup) == revision)
    await setup.restart()
    await setup.in_force()
    assert (await setup.request("GET", path, token=token)).status == 404
    await setup.plane.stop()
    await setup.restart()
    await until(lambda: setup.node.state.revision == revision)
    assert (await setup.request("GET", path, token=token)).status == 503


async def test_stale_witnesses_serve_only_while_nothing_newer_is_known(shop: Shop) -> None:
    """The content changed, then the control plane went: what is not known to have moved goes on."""
    setup = shop.setup
    token = shop.customer("1.*")
    await setup.in_force()
    moving, staying = shop.one, version(8)
    setup.plane.hold(shop.app, staying, ["1.2"])
    await setup.in_force()

    def paths(tag: str, image: Image) -> list[str]:
        return [f"manifests/{tag}", f"manifests/{image.digest}", f"manifests/{image.children[0].digest}"]

    for path in paths("1.0", moving) + paths("1.2", staying):
        assert (await setup.request("GET", f"/v2/acme/app/{path}", token=token)).status == 200
    setup.plane.hold(shop.app, version(9), ["1.0"])
    await setup.in_force()
    # That 1.0 moved is heard of, what became of 1.2 is not.
    assert (await setup.request("GET", "/v2/acme/app/manifests/1.0", token=token)).status == 200
    await setup.plane.stop()
    for path in paths("1.2", staying):
        assert (await setup.request("GET", f"/v2/acme/app/{path}", token=token)).status == 200
    for path in paths("1.0", moving)[1:]:
        assert (await setup.request("GET", f"/v2/acme/app/{path}", token=token)).status == 503


def saved_revision(setup: Setup) -> int:
    """The revision that a restarted node would begin with."""
    path = setup.data_dir / "node" / "configuration.pb"
    loaded = SavedConfiguration(path).load() if path.exists() else None
    return 0 if loaded is None else loaded[0].revision
