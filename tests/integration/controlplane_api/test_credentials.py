"""Credentials over the API: kept secret, changed by those who may, and deleted when nobody uses them."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from controlplane.model.sync_tables import SyncJob
from controlplane.sync.runner import Syncs
from penstock.v1 import artifact_pb2, credential_pb2
from tests.fakes.gates import BasicGate
from tests.fakes.registry import FakeRegistry
from tests.servers.control_plane import Plane, refused
from tests.servers.private import ACME, HUB, PASSWORD, artifact, basic, create, rotate, synced


async def test_what_is_shown_of_a_credential(acme: Plane) -> None:
    """That a secret is set, its last four characters, and who set it; never the secret."""
    admin = await acme.member("acme", "admin")
    created = await create(admin)
    got = await acme.root.credentials.GetCredential(credential_pb2.GetCredentialRequest(name=HUB))
    assert got == created
    assert (got.name, got.basic.username, got.basic.password_hint) == (HUB, "alice", "aple")
    assert got.secret_update_user == "admin@acme.example.com"
    assert got.HasField("secret_update_time")
    assert not got.HasField("last_success_time")
    listed = await acme.root.credentials.ListCredentials(credential_pb2.ListCredentialsRequest(parent=ACME))
    assert list(listed.credentials) == [got]
    assert PASSWORD not in f"{got} {listed}"
    short = basic("short")
    short.name = HUB
    updated = await admin.credentials.UpdateCredential(
        credential_pb2.UpdateCredentialRequest(credential=short)
    )
    assert updated.basic.password_hint == ""


async def test_only_trying_saves_nothing(acme: Plane, fake: FakeRegistry) -> None:
    """validate_only says whether it would work."""
    await create(acme.root, validate_only=True)
    assert (
        await refused(acme.root.credentials.GetCredential(credential_pb2.GetCredentialRequest(name=HUB)))
    ).reason
    await create(acme.root)
    await artifact(acme.root, fake)
    assert isinstance(fake.gate, BasicGate)
    fake.gate.users["bob"] = "bob's password"
    changed = credential_pb2.Credential(
        name=HUB, basic=credential_pb2.BasicCredential(username="bob", password="bob's password")
    )
    answer = await acme.root.credentials.UpdateCredential(
        credential_pb2.UpdateCredentialRequest(credential=changed, validate_only=True)
    )
    assert answer.basic.username == "bob"
    got = await acme.root.credentials.GetCredential(credential_pb2.GetCredentialRequest(name=HUB))
    assert got.basic.username == "alice"


async def test_what_is_not_given_stays(acme: Plane) -> None:
    """A display name is changed without the password, and the type never."""
    await create(acme.root)
    named = await acme.root.credentials.UpdateCredential(
        credential_pb2.UpdateCredentialRequest(
            credential=credential_pb2.Credential(name=HUB, display_name="Docker Hub")
        )
    )
    assert (named.display_name, named.basic.password_hint) == ("Docker Hub", "aple")
    mask = FieldMask(paths=["basic"])
    renamed = await acme.root.credentials.UpdateCredential(
        credential_pb2.UpdateCredentialRequest(
            credential=credential_pb2.Credential(
                name=HUB, basic=credential_pb2.BasicCredential(username="bob")
            ),
            update_mask=mask,
        )
    )
    assert (renamed.basic.username, renamed.basic.password_hint) == ("bob", "aple")
    part = await acme.root.credentials.UpdateCredential(
        credential_pb2.UpdateCredentialRequest(
            credential=credential_pb2.Credential(
                name=HUB, basic=credential_pb2.BasicCredential(username="eve", password="another password")
            ),
            update_mask=FieldMask(paths=["basic.password"]),
        )
    )
    assert (part.basic.username, part.basic.password_hint) == ("bob", "word")
    error = await refused(
        acme.root.credentials.UpdateCredential(
            credential_pb2.UpdateCredentialRequest(
                credential=credential_pb2.Credential(
                    name=HUB,
                    aws_ecr=credential_pb2.AwsEcrCredential(
                        access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="x" * 40
                    ),
                )
            )
        )
    )
    assert [violation.field for violation in error.violations] == ["credential"]


async def test_somebody_who_was_quicker_is_noticed(acme: Plane) -> None:
    """An etag makes a change conditional."""
    created = await create(acme.root)
    await rotate(acme.root, "another")
    changed = basic("third")
    changed.name, changed.etag = HUB, created.etag
    error = await refused(
        acme.root.credentials.UpdateCredential(credential_pb2.UpdateCredentialRequest(credential=changed))
    )
    assert (error.code.name, error.reason) == ("ABORTED", "ETAG_MISMATCH")


async def test_one_in_use_is_not_deleted(acme: Plane, fake: FakeRegistry) -> None:
    """Nor does an organization keep it."""
    await create(acme.root)
    created = await artifact(acme.root, fake)
    request = credential_pb2.DeleteCredentialRequest(name=HUB)
    error = await refused(acme.root.credentials.DeleteCredential(request))
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "CREDENTIAL_IN_USE")
    await acme.root.artifacts.DeleteArtifact(artifact_pb2.DeleteArtifactRequest(name=created.name))
    await acme.root.credentials.DeleteCredential(request)
    assert (await refused(acme.root.credentials.DeleteCredential(request))).reason == "CREDENTIAL_UNKNOWN"


async def test_who_may(acme: Plane, fake: FakeRegistry) -> None:
    """ADMIN changes them, READ_WRITE sees and uses them, READ_ONLY does not see them, others not at all."""
    await create(await acme.member("acme", "admin"))
    writer, reader = await acme.member("acme", "read_write"), await acme.member("acme", "read_only")
    get = credential_pb2.GetCredentialRequest(name=HUB)
    await writer.credentials.GetCredential(get)
    for call in (create(writer), rotate(writer, "x"), reader.credentials.GetCredential(get)):
        assert (await refused(call)).code.name == "PERMISSION_DENIED"
    await acme.organization("umbrella")
    stranger = await acme.member("umbrella", "admin")
    assert (await refused(stranger.credentials.GetCredential(get))).reason == "CREDENTIAL_UNKNOWN"
    error = await refused(
        stranger.artifacts.CreateArtifact(
            artifact_pb2.CreateArtifactRequest(
                parent="organizations/umbrella",
                artifact_id="app",
                artifact=artifact_pb2.Artifact(
                    upstream=f"{fake.host}/team/app", plain_http=True, credential=HUB
                ),
            )
        )
    )
    assert [violation.field for violation in error.violations] == ["artifact.credential"]


@pytest.mark.parametrize(
    "given",
    [
        credential_pb2.Credential(),
        credential_pb2.Credential(basic=credential_pb2.BasicCredential(username="a:b", password="x")),
        credential_pb2.Credential(basic=credential_pb2.BasicCredential(username="alice")),
        credential_pb2.Credential(basic=credential_pb2.BasicCredential(username="alice", password="a\nb")),
        credential_pb2.Credential(
            aws_ecr=credential_pb2.AwsEcrCredential(access_key_id="AKIA", secret_access_key="x")
        ),
        credential_pb2.Credential(
            aws_ecr=credential_pb2.AwsEcrCredential(
                access_key_id="AKIAIOSFODNN7EXAMPLE",
                secret_access_key="x",
                endpoint="https://u:p@example.com",
            )
        ),
        credential_pb2.Credential(
            aws_ecr=credential_pb2.AwsEcrCredential(
                access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="x", role_arn="puller"
            )
        ),
    ],
    ids=["no-type", "colon", "no-password", "control-character", "key-id", "endpoint", "role"],
)
async def test_malformed_ones_are_refused(acme: Plane, given: credential_pb2.Credential) -> None:
    """With the field that is wrong."""
    error = await refused(create(acme.root, given))
    assert error.code.name == "INVALID_ARGUMENT"
    assert all(violation.field.startswith("credential") for violation in error.violations)


async def test_an_artifact_that_goes_while_its_credential_changes(
    acme: Plane, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is answered as made, and the artifacts after it are synced with what is new."""
    await create(acme.root)
    one, gone, last = [await artifact(acme.root, fake, artifact_id) for artifact_id in ("a", "b", "c")]
    request = Syncs.request

    async def with_less(self: Syncs, *arguments: Any, **more: Any) -> SyncJob:
        monkeypatch.setattr(Syncs, "request", request)
        await acme.root.artifacts.DeleteArtifact(artifact_pb2.DeleteArtifactRequest(name=gone.name))
        return await request(self, *arguments, **more)

    monkeypatch.setattr(Syncs, "request", with_less)
    assert isinstance(fake.gate, BasicGate)
    fake.gate.users["alice"] = "another password"
    assert (await rotate(acme.root, "another password")).basic.password_hint == "word"
    for name in (one.name, last.name):
        assert (await synced(acme.root, name)).trigger == artifact_pb2.SyncJob.CREDENTIAL_CHANGE
