"""Why a pull is allowed or refused, as support staff is told."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from clients.oci.media_types import OCI_CONFIG
from penstock.v1 import artifact_pb2, customer_pb2, user_pb2
from penstock.v1 import entitlement_pb2 as pb
from tests.servers.control_plane import Plane

ACME, GLOBEX = "organizations/acme", "organizations/acme/customers/globex"
DIGEST = "sha256:" + "0" * 64


async def _token(plane: Plane, *, customer: str = "", **fields: object) -> str:
    user, _ = await plane.user("acme", "read_only", "ops@example.com", customer=customer)
    created = await plane.root.users.CreateToken(
        user_pb2.CreateTokenRequest(parent=user.name, token=user_pb2.Token(**fields))
    )
    return created.token.uid


async def _told(plane: Plane, token: str, reference: str) -> pb.ExplainPullResponse:
    reader = await plane.member("acme", "read_only")
    return await reader.entitlements.ExplainPull(
        pb.ExplainPullRequest(parent=ACME, token_uid=token, reference=reference)
    )


def _refusals(told: pb.ExplainPullResponse) -> list[str]:
    return [step.check for step in told.steps if step.outcome == pb.ExplainPullResponse.REFUSED]


async def _entitle(plane: Plane, slug: str, *, ended: bool = False) -> None:
    entitlement = pb.Entitlement(
        customer=GLOBEX,
        grants=[pb.Entitlement.Grant(artifact=f"{ACME}/artifacts/redis", tags=pb.TagRule(patterns=["7.*"]))],
    )
    if ended:
        entitlement.expire_time.CopyFrom(Timestamp(seconds=1))
    await plane.root.entitlements.CreateEntitlement(
        pb.CreateEntitlementRequest(parent=ACME, entitlement_id=slug, entitlement=entitlement)
    )


@pytest.fixture
async def acme(plane: Plane) -> Plane:
    """An organization with an artifact that is not synced, and a customer."""
    await plane.organization("acme")
    await plane.artifact("acme", "redis")
    await plane.root.customers.CreateCustomer(
        customer_pb2.CreateCustomerRequest(parent=ACME, customer_id="globex")
    )
    return plane


async def test_a_member_may_pull_what_there_is(acme: Plane) -> None:
    """Every step is told in the order of a pull, down to the nodes and the upstream."""
    token = await _token(acme)
    told = await _told(acme, token, "acme/redis:7.2")
    assert told.allowed
    checks = list(dict.fromkeys(step.check for step in told.steps))
    assert checks[:5] == ["token", "role", "organization", "artifact", "digest"]
    assert "cache" in checks
    missing = await acme.member("acme", "admin")
    answer = await missing.entitlements.ExplainPull(
        pb.ExplainPullRequest(parent=ACME, token_uid=token, reference="acme/none")
    )
    assert _refusals(answer) == ["artifact"]


async def test_a_customer_is_held_to_its_entitlements(acme: Plane) -> None:
    """The one that names the tag is named; one that ended, and a tag that none names, are told as such."""
    token = await _token(acme, customer=GLOBEX)
    assert (await _told(acme, token, "acme/redis:8.0")).allowed
    await _entitle(acme, "old", ended=True)
    reader = await acme.client((await acme.user("acme", "admin"))[1])

    async def told(reference: str) -> pb.ExplainPullResponse:
        return await reader.entitlements.ExplainPull(
            pb.ExplainPullRequest(parent=ACME, token_uid=token, reference=reference)
        )

    ended = await told("acme/redis:7.2")
    assert "entitlement" in _refusals(ended)
    assert any("old ended at" in step.finding for step in ended.steps)
    await _entitle(acme, "trial")
    assert (await told("acme/redis:7.2")).allowed
    assert _refusals(await told("acme/redis:8.0")) == ["tag"]
    assert _refusals(await told("acme/redis")) == ["tag"]
    assert _refusals(await told(f"acme/redis@{DIGEST}")) == ["digest"]


async def test_a_token_of_nobody_is_told_as_such(acme: Plane) -> None:
    """One that was revoked, and one of another organization."""
    assert _refusals(await _told(acme, "nobody", "acme/redis")) == ["token"]


async def test_who_runs_the_installation_is_not_told(acme: Plane) -> None:
    """Members see that a token is an administrator's, and not whose; administrators see the address."""
    with closing(sqlite3.connect(acme.data / "controlplane.db")) as connection:
        ((uid, email),) = connection.execute(
            "SELECT t.uid, u.email FROM access_token t JOIN user_account u ON u.id = t.user_id"
            " WHERE u.organization_id IS NULL"
        ).fetchall()
    told = await _told(acme, uid, "acme/redis:7.2")
    assert told.allowed
    assert (
        told.steps[0].finding == "The token of an administrator of the installation is good, without an end."
    )
    assert "@" not in str(told)
    request = pb.ExplainPullRequest(parent=ACME, token_uid=uid, reference="acme/redis:7.2")
    assert email in (await acme.root.entitlements.ExplainPull(request)).steps[0].finding


async def test_what_is_only_synced_is_not_asked_for(acme: Plane) -> None:
    """A tag or digest that no sync brought is refused, as a pull of it is."""
    token = await _token(acme)
    policy = artifact_pb2.Artifact(
        name=f"{ACME}/artifacts/redis", sync_policy=artifact_pb2.SyncPolicy(sync_only=True)
    )
    await acme.root.artifacts.UpdateArtifact(
        artifact_pb2.UpdateArtifactRequest(artifact=policy, update_mask=FieldMask(paths=["sync_policy"]))
    )
    reader = await acme.member("acme", "admin")
    for reference in ("acme/redis:7.2", f"acme/redis@{DIGEST}"):
        told = await reader.entitlements.ExplainPull(
            pb.ExplainPullRequest(parent=ACME, token_uid=token, reference=reference)
        )
        assert (told.allowed, _refusals(told)) == (False, ["cache" if "@" in reference else "digest"])
        assert any("only synced" in step.finding for step in told.steps)


async def test_an_images_id_is_told_as_such(acme: Plane) -> None:
    """The digest of a config is no manifest's: a pull by it is refused, and asks no upstream."""
    token = await _token(acme)

    def hold() -> None:
        with closing(sqlite3.connect(acme.data / "controlplane.db")) as connection, connection:
            ((artifact_id,),) = connection.execute("SELECT id FROM artifact").fetchall()
            edge = (artifact_id, "sha256:" + "1" * 64, DIGEST, "blob", OCI_CONFIG, 2, "")
            connection.execute("INSERT INTO edge VALUES (?, ?, ?, ?, ?, ?, ?)", edge)

    # In a thread: the control plane, which may be writing, is in this one.
    await asyncio.to_thread(hold)
    told = await _told(acme, token, f"acme/redis@{DIGEST}")
    assert (told.allowed, _refusals(told)) == (False, ["digest"])
    assert any("an image's id" in step.finding for step in told.steps)
