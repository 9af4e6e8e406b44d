"""Credentials at work: tried before they are saved, used by syncs and nodes, and rotated in one call."""

import asyncio

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from penstock.v1 import artifact_pb2, credential_pb2, node_pb2
from tests.fakes.gates import BasicGate
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.servers.control_plane import Plane, refused
from tests.servers.private import ACME, HUB, PASSWORD, artifact, basic, create, rotate, synced


async def test_an_artifact_is_read_with_its_credential(acme: Plane, fake: FakeRegistry) -> None:
    """The check, the sync, and what a node is given."""
    await create(acme.root)
    created = await artifact(acme.root, fake)
    assert created.credential == HUB
    assert (await synced(acme.root, created.name)).state == artifact_pb2.SyncJob.SUCCEEDED
    node = await acme.node("n1")
    access = await node.nodes.GetUpstreamAccess(node_pb2.GetUpstreamAccessRequest(artifact_uid=created.uid))
    assert access.authorization.startswith("Basic ")
    got = await acme.root.credentials.GetCredential(credential_pb2.GetCredentialRequest(name=HUB))
    assert got.artifact_count == 1


async def test_when_it_last_worked_is_told(acme: Plane, fake: FakeRegistry) -> None:
    """To the minute, and what was wrong last, until it works again."""
    await create(acme.root)
    created = await artifact(acme.root, fake)
    await synced(acme.root, created.name)

    async def told(worked: bool) -> credential_pb2.Credential:
        while True:
            got = await acme.root.credentials.GetCredential(credential_pb2.GetCredentialRequest(name=HUB))
            if got.HasField("last_success_time") and bool(got.last_error) != worked:
                return got
            await asyncio.sleep(0.01)

    assert (await told(worked=True)).last_success_time.seconds % 60 == 0
    assert isinstance(fake.gate, BasicGate)
    fake.gate.users["alice"] = "changed upstream"
    await acme.root.artifacts.SyncArtifact(artifact_pb2.SyncArtifactRequest(name=created.name))
    failed = await synced(acme.root, created.name)
    assert "refuses the credential" in failed.error
    assert "refuses the credential" in (await told(worked=False)).last_error
    await rotate(acme.root, "changed upstream")
    await synced(acme.root, created.name)
    assert not (await told(worked=True)).HasField("last_error_time")


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ("password", "UPSTREAM_CREDENTIAL_REFUSED", "password is wrong"),
        ("repository", "UPSTREAM_NOT_FOUND", "team/gone"),
        ("host", "UPSTREAM_HOST_UNKNOWN", "could not be resolved"),
        ("tls", "UPSTREAM_TLS_FAILED", "TLS"),
        ("port", "UPSTREAM_UNAVAILABLE", "could not be reached"),
        ("rights", "UPSTREAM_DENIED", "does not allow reading the manifest"),
        ("iam", "UPSTREAM_PERMISSION_MISSING", "ecr:BatchGetImage"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_saved(
    acme: Plane, fake: FakeRegistry, change: str, reason: str, words: str
) -> None:
    """By its cause, in words and in a reason that programs compare."""
    await create(acme.root, basic("wrong") if change == "password" else None)
    upstream = {
        "repository": f"{fake.host}/team/gone",
        "host": "registry.does-not-exist.invalid/team/app",
        "port": "127.0.0.1:1/team/app",
    }.get(change, f"{fake.host}/team/app")
    if change in ("rights", "iam"):
        words_of_aws = "User: x is not authorized to perform: ecr:BatchGetImage on resource: y"
        message = words_of_aws if change == "iam" else "no"
        body = f'{{"errors":[{{"code":"DENIED","message":"{message}"}}]}}'.encode()
        fake.faults.add("manifests", status=403, body=body)
    error = await refused(
        acme.root.artifacts.CreateArtifact(
            artifact_pb2.CreateArtifactRequest(
                parent=ACME,
                artifact_id="app",
                artifact=artifact_pb2.Artifact(upstream=upstream, plain_http=change != "tls", credential=HUB),
            )
        )
    )
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", reason)
    assert words in str(error)
    assert PASSWORD not in str(error)
    listed = await acme.root.artifacts.ListArtifacts(artifact_pb2.ListArtifactsRequest(parent=ACME))
    assert not listed.artifacts


async def test_a_rotation_that_fails_leaves_the_old_password_in_force(
    acme: Plane, fake: FakeRegistry
) -> None:
    """The sentence names the artifact; a waiver saves it all the same."""
    await create(acme.root)
    created = await artifact(acme.root, fake)
    await artifact(acme.root, fake, "other", "team/other")
    before = await acme.root.credentials.GetCredential(credential_pb2.GetCredentialRequest(name=HUB))
    assert isinstance(fake.gate, BasicGate)

    error = await refused(rotate(acme.root, "a wrong one"))

    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "UPSTREAM_CREDENTIAL_REFUSED")
    assert error.metadata["artifact"] in (f"{ACME}/artifacts/app", f"{ACME}/artifacts/other")
    assert fake.gate.tried.count(("alice", "a wrong one")) == 1
    after = await acme.root.credentials.GetCredential(credential_pb2.GetCredentialRequest(name=HUB))
    assert after.etag == before.etag
    await acme.root.artifacts.SyncArtifact(artifact_pb2.SyncArtifactRequest(name=created.name))
    assert (await synced(acme.root, created.name)).state == artifact_pb2.SyncJob.SUCCEEDED
    saved = await rotate(acme.root, "a wrong one", skip_upstream_check=True)
    assert saved.etag != before.etag


async def test_a_rotation_reaches_syncs_and_nodes(acme: Plane, fake: FakeRegistry) -> None:
    """One call: every artifact is tried with the new one, synced with it, and nodes are told to ask anew."""
    await create(acme.root)
    created = await artifact(acme.root, fake)
    await artifact(acme.root, fake, "other", "team/other")
    await synced(acme.root, created.name)
    node = await acme.node("n1")
    request = node_pb2.GetUpstreamAccessRequest(artifact_uid=created.uid)
    before = await node.nodes.GetUpstreamAccess(request)
    revision = acme.revision()
    assert isinstance(fake.gate, BasicGate)
    fake.gate.users["alice"] = "a new password"

    await rotate(acme.root, "a new password")

    assert acme.revision() > revision
    for name in ("app", "other"):
        job = await synced(acme.root, f"{ACME}/artifacts/{name}")
        assert job.trigger == artifact_pb2.SyncJob.CREDENTIAL_CHANGE
        assert job.state == artifact_pb2.SyncJob.SUCCEEDED
    after = await node.nodes.GetUpstreamAccess(request)
    assert after.authorization != before.authorization


async def test_a_writer_cannot_have_a_password_sent_to_a_host_of_their_own(
    acme: Plane, fake: FakeRegistry
) -> None:
    """Nobody but an administrator shows a credential to a host that it was not shown to before."""
    await create(acme.root)
    writer = await acme.member("acme", "read_write")
    async with FakeRegistry() as thief:
        thief.add(make_image(), "team/app", ["1.0"])
        thief.gate = BasicGate({})
        error = await refused(artifact(writer, thief))
        assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "CREDENTIAL_NOT_FOR_HOST")
        created = await artifact(acme.root, fake)
        await artifact(writer, fake, "other", "team/other")
        moved = artifact_pb2.Artifact(name=created.name, upstream=f"{thief.host}/team/app")
        error = await refused(
            writer.artifacts.UpdateArtifact(
                artifact_pb2.UpdateArtifactRequest(artifact=moved, skip_upstream_check=True)
            )
        )
        assert error.reason == "CREDENTIAL_NOT_FOR_HOST"
        assert not thief.saw(PASSWORD)
        assert thief.requests == []


async def test_an_artifact_gets_another_credential_or_none(acme: Plane, fake: FakeRegistry) -> None:
    """Each is tried first; a change starts a sync."""
    await create(acme.root)
    created = await artifact(acme.root, fake)
    none = artifact_pb2.UpdateArtifactRequest(
        artifact=artifact_pb2.Artifact(name=created.name), update_mask=FieldMask(paths=["credential"])
    )
    error = await refused(acme.root.artifacts.UpdateArtifact(none))
    assert (error.reason, "wants a user name" in str(error)) == ("UPSTREAM_DENIED", True)
    fake.gate = None
    updated = await acme.root.artifacts.UpdateArtifact(none)
    assert updated.credential == ""
    assert (await synced(acme.root, created.name)).trigger == artifact_pb2.SyncJob.CREDENTIAL_CHANGE


async def test_certificates_that_are_none_are_refused(acme: Plane, fake: FakeRegistry) -> None:
    """A key among them as well, which would be kept and shown."""
    for text in ("nonsense", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"):
        error = await refused(
            acme.root.artifacts.CreateArtifact(
                artifact_pb2.CreateArtifactRequest(
                    parent=ACME,
                    artifact_id="app",
                    artifact=artifact_pb2.Artifact(upstream=f"{fake.host}/team/app", ca_certificates=text),
                )
            )
        )
        assert [violation.field for violation in error.violations] == ["artifact.ca_certificates"]
