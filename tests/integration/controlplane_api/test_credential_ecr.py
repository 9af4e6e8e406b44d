"""Access keys of AWS over the API: one token for all, renewed unnoticed; and how secrets are kept."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from controlplane.settings import Settings
from penstock.v1 import artifact_pb2, credential_pb2, node_pb2
from tests.fakes import ecr as aws
from tests.fakes.ecr import FakeEcr
from tests.fakes.gates import EcrGate
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.servers import http
from tests.servers.control_plane import Plane, refused
from tests.servers.private import ACME, PASSWORD, access_key, artifact, create, synced


async def test_a_copy_of_the_database_gives_nothing_away(acme: Plane, fake_ecr: FakeEcr) -> None:
    """Neither a password nor an access key nor what AWS gave for it is in the files."""
    await create(acme.root)
    await acme.root.credentials.CreateCredential(
        credential_pb2.CreateCredentialRequest(
            parent=ACME, credential_id="ecr", credential=access_key(fake_ecr)
        )
    )
    content = b"".join(path.read_bytes() for path in acme.data.glob("controlplane.db*"))
    (token,) = fake_ecr.passwords
    for secret in (PASSWORD, fake_ecr.secret_access_key, token):
        assert secret.encode() not in content
    assert (acme.data / "encryption-keys").stat().st_mode & 0o777 == 0o600


async def test_the_encryption_key_is_rotated_while_everything_goes_on(
    acme: Plane, fake: FakeRegistry, fake_ecr: FakeEcr
) -> None:
    """Every secret is sealed anew; who is not of the installation may not."""
    await create(acme.root)
    await acme.root.credentials.CreateCredential(
        credential_pb2.CreateCredentialRequest(
            parent=ACME, credential_id="ecr", credential=access_key(fake_ecr)
        )
    )
    created = await artifact(acme.root, fake)
    await synced(acme.root, created.name)
    with closing(sqlite3.connect(acme.data / "controlplane.db")) as connection:
        before = set(connection.execute("SELECT secret FROM credential"))
    request = credential_pb2.RotateEncryptionKeyRequest()
    admin = await acme.member("acme", "admin")
    assert (await refused(admin.credentials.RotateEncryptionKey(request))).code.name == "PERMISSION_DENIED"
    for _ in range(3):
        assert (await acme.root.credentials.RotateEncryptionKey(request)).secrets_reencrypted == 2
    with closing(sqlite3.connect(acme.data / "controlplane.db")) as connection:
        assert not before & set(connection.execute("SELECT secret FROM credential"))
    await acme.root.artifacts.SyncArtifact(artifact_pb2.SyncArtifactRequest(name=created.name))
    assert (await synced(acme.root, created.name)).state == artifact_pb2.SyncJob.SUCCEEDED
    assert len((acme.data / "encryption-keys").read_text().split()) == 2


async def test_an_access_key_is_tried_with_aws(acme: Plane, fake_ecr: FakeEcr) -> None:
    """When it is created and when it is changed, unless that is waived; a refusal names the IAM action."""
    fake_ecr.error = aws.ACCESS_DENIED
    error = await refused(create(acme.root, access_key(fake_ecr)))
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "UPSTREAM_PERMISSION_MISSING")
    assert error.metadata["permission"] == "ecr:GetAuthorizationToken"
    assert fake_ecr.secret_access_key not in str(error)
    created = await create(acme.root, access_key(fake_ecr), skip_upstream_check=True)
    assert created.aws_ecr.secret_access_key_hint == fake_ecr.secret_access_key[-4:]
    assert created.aws_ecr.access_key_id == fake_ecr.access_key_id


@pytest.mark.slow
async def test_fifty_artifacts_on_one_access_key_make_one_call(
    acme: Plane, fake: FakeRegistry, fake_ecr: FakeEcr
) -> None:
    """Created, checked, synced, and asked for by two nodes at once."""
    fake.gate = EcrGate(fake_ecr)
    image = make_image()
    for number in range(50):
        fake.add(image, f"team/app{number}", ["1.0"])
    await create(acme.root, access_key(fake_ecr))
    artifacts = await asyncio.gather(
        *(artifact(acme.root, fake, f"app{number}", f"team/app{number}") for number in range(50))
    )
    nodes = [await acme.node(name) for name in ("n1", "n2")]
    access = await asyncio.gather(
        *(
            node.nodes.GetUpstreamAccess(node_pb2.GetUpstreamAccessRequest(artifact_uid=one.uid))
            for node in nodes
            for one in artifacts
        )
    )
    jobs = await asyncio.gather(*(synced(acme.root, one.name) for one in artifacts))
    assert {job.state for job in jobs} == {artifact_pb2.SyncJob.SUCCEEDED}
    assert len({one.authorization for one in access}) == 1
    assert all(one.HasField("expire_time") for one in access)
    assert len(fake_ecr.calls) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_expired_a_second_ago_is_renewed_unnoticed(
    acme: Plane, fake: FakeRegistry, fake_ecr: FakeEcr, status: int
) -> None:
    """By a sync, and when a node says that its upstream refused what it was given."""
    fake.gate = EcrGate(fake_ecr, expired_status=status)
    await create(acme.root, access_key(fake_ecr))
    created = await artifact(acme.root, fake)
    await synced(acme.root, created.name)
    node = await acme.node("n1")
    request = node_pb2.GetUpstreamAccessRequest(artifact_uid=created.uid)
    before = await node.nodes.GetUpstreamAccess(request)
    fake_ecr.expire()
    await acme.root.artifacts.SyncArtifact(artifact_pb2.SyncArtifactRequest(name=created.name))
    assert (await synced(acme.root, created.name)).state == artifact_pb2.SyncJob.SUCCEEDED
    fake_ecr.expire()
    request.refused = True
    after = await node.nodes.GetUpstreamAccess(request)
    assert after.authorization != before.authorization
    assert len(fake_ecr.calls) == 3


async def test_a_missing_iam_action_of_the_registry_is_named(
    acme: Plane, fake: FakeRegistry, fake_ecr: FakeEcr
) -> None:
    """The one that the artifact needs, whatever GetAuthorizationToken allows."""
    fake.gate = EcrGate(fake_ecr, missing="ecr:ListImages")
    await create(acme.root, access_key(fake_ecr))
    error = await refused(artifact(acme.root, fake))
    assert (error.reason, error.metadata["permission"]) == ("UPSTREAM_PERMISSION_MISSING", "ecr:ListImages")


async def test_metrics_tell_of_breakers_and_tokens(
    acme: Plane, fake: FakeRegistry, fake_ecr: FakeEcr, settings: Settings
) -> None:
    """How old ECR's tokens are, and which upstreams are left alone."""
    fake.gate = EcrGate(fake_ecr)
    await create(acme.root, access_key(fake_ecr))
    await artifact(acme.root, fake)
    dead = artifact_pb2.Artifact(upstream="127.0.0.1:1/team/app", plain_http=True)
    for number in range(3):
        await refused(
            acme.root.artifacts.CreateArtifact(
                artifact_pb2.CreateArtifactRequest(parent=ACME, artifact_id=f"dead{number}", artifact=dead)
            )
        )
    answer = await asyncio.to_thread(http.request, str(acme.running.http), "GET", "/metrics")
    text = answer.body.decode()
    assert 'penstock_upstream_breaker_state{upstream="http://127.0.0.1:1"} 2.0' in text
    assert 'region="us-east-1"' in text
    assert "penstock_ecr_token_age_seconds" in text
