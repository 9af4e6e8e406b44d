"""Sign-ins at the registry: who goes on with bad ones is slowed down, and the control plane hears of it."""

import time

from clients.control.token import TokenKind, new_token
from tests.fakes.images import make_image
from tests.integration.dataplane.conftest import Setup


async def test_refused_sign_ins_are_slowed_down_and_reported(setup: Setup) -> None:
    """401 at first, then 429 with a time; a good token from the same address is served all the while."""
    await setup.artifact(make_image())
    ended = setup.plane.add_token(next(iter(setup.plane.organizations)), expires_at=time.time() - 1)
    taken = setup.plane.add_token(next(iter(setup.plane.organizations)))
    await setup.in_force()
    uids = {entry.sha256: entry.uid for entry in setup.plane.tokens.values()}
    assert (await setup.request("GET", "/v2/", token=taken)).status == 200
    setup.plane.remove_token(taken)
    await setup.in_force()
    for _ in range(30):
        assert (await setup.request("GET", "/v2/", Authorization="")).status == 401
    answers = [await setup.request("GET", "/v2/", token=new_token(TokenKind.USER)) for _ in range(18)]
    answers += [await setup.request("GET", "/v2/", token=token) for token in (ended, taken)]
    assert {answer.status for answer in answers} == {401}
    slowed = await setup.request("GET", "/v2/acme/app/manifests/1.0", token="guess")
    assert (slowed.status, slowed.code) == (429, "TOOMANYREQUESTS")
    assert 1 <= int(slowed.headers["Retry-After"]) <= 60
    for _ in range(3):
        assert (await setup.get("manifests/1.0")).status == 200
    for reason, count in {"malformed": 1, "unknown": 18, "expired": 1, "revoked": 1}.items():
        assert await setup.metric("penstock_node_sign_in_failures_total", reason=reason) == count
    assert await setup.metric("penstock_node_sign_ins_slowed_total") == 1
    assert setup.plane.calls["ReportUse"] == 0
    await setup.node.stop()
    # One report for all of it.
    (report,) = setup.plane.uses
    assert {use.address for use in report.token_uses} == {"127.0.0.1"}
    assert len(report.token_uses) == 2
    refused = {each.token_uid: each.count for each in report.refused_sign_ins}
    assert sorted(refused.values()) == [1, 1, 19]
    assert set(refused) - {""} <= set(uids.values())
    assert all(abs(use.time.seconds - time.time()) < 600 for use in report.token_uses)
    text = str(report)
    assert not [token for token in (setup.token, ended, taken) if token in text]


async def test_who_goes_on_waits_longer(setup: Setup) -> None:
    """What Retry-After says is the time that this address has to wait, which grows."""
    for _ in range(20):
        assert (await setup.request("GET", "/v2/", token="guess")).status == 401
    slowed = [await setup.request("GET", "/v2/", token="guess") for _ in range(6)]
    assert {answer.status for answer in slowed} == {429}
    waits = [int(answer.headers["Retry-After"]) for answer in slowed]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] <= 60


async def test_a_token_that_only_gets_quick_answers_is_reported_as_used(setup: Setup) -> None:
    """It asks for what another token has made warm, and the registry itself never sees it."""
    await setup.artifact(make_image())
    other = setup.plane.add_token(next(iter(setup.plane.organizations)))
    await setup.in_force()
    assert (await setup.get("manifests/1.0")).status == 200
    assert (await setup.request("GET", "/v2/acme/app/manifests/1.0", token=other)).status == 200
    assert await setup.metric("penstock_node_fast_answers_total") == 1
    await setup.node.stop()
    (report,) = setup.plane.uses
    assert {use.token_uid for use in report.token_uses} == {
        entry.uid for entry in setup.plane.tokens.values()
    }


async def test_reports_wait_for_the_control_plane(setup: Setup) -> None:
    """A node that stops while it is away ends in time, and pulls never waited for a report."""
    await setup.artifact(make_image())
    await setup.get("manifests/1.0")
    await setup.plane.stop()
    assert (await setup.get("manifests/1.0")).status == 200
    await setup.node.stop()
    assert setup.plane.uses == []


async def test_a_token_that_was_revoked_while_the_node_was_cut_off_is_known_as_such(setup: Setup) -> None:
    """The whole configuration that the node gets then no longer has it: it is refused, and counted so."""
    taken = setup.plane.add_token(next(iter(setup.plane.organizations)))
    await setup.in_force()
    assert (await setup.request("GET", "/v2/", token=taken)).status == 200
    await setup.plane.stop()
    setup.plane.remove_token(taken)
    assert (await setup.request("GET", "/v2/", token=taken)).status == 200
    await setup.plane.start()
    await setup.in_force()
    assert (await setup.request("GET", "/v2/", token=taken)).status == 401
    assert await setup.metric("penstock_node_sign_in_failures_total", reason="revoked") == 1
