"""Changes that are tried with an upstream, while somebody else changes the same and is quicker."""

import asyncio
from collections.abc import Awaitable

from google.protobuf.field_mask_pb2 import FieldMask

from penstock.v1 import artifact_pb2, credential_pb2
from tests.fakes.gates import BasicGate
from tests.fakes.registry import FakeRegistry
from tests.servers.control_plane import Plane, refused
from tests.servers.private import HUB, PASSWORD, artifact, basic, create


def _update(field: str, **changed: object) -> artifact_pb2.UpdateArtifactRequest:
    return artifact_pb2.UpdateArtifactRequest(
        artifact=artifact_pb2.Artifact(name="organizations/acme/artifacts/app", **changed),
        update_mask=FieldMask(paths=[field]),
        skip_upstream_check=field != "upstream",
    )


async def _meanwhile(
    fake: FakeRegistry, slow: Awaitable[object], quick: Awaitable[object]
) -> tuple[object, object]:
    """Make one change while the upstream lets another wait for its tags; gives what came of both."""
    gate = asyncio.Event()
    fake.requests.clear()
    fake.faults.add(kind="tags", times=1, pause_after=0, gate=gate)
    trying = asyncio.ensure_future(slow)
    try:
        await fake.asked("tags")
        done = await quick
    finally:
        gate.set()
    return await trying, done


async def test_an_artifact_whose_source_changed_is_left_so(acme: Plane, fake: FakeRegistry) -> None:
    """What was tried is not what would be saved, nor does it take back what somebody else saved."""
    api = acme.root.artifacts
    await create(acme.root)
    created = await artifact(acme.root, fake)
    moved = _update("upstream", upstream=f"{fake.host}/team/other")
    error, changed = await _meanwhile(
        fake, refused(api.UpdateArtifact(moved)), api.UpdateArtifact(_update("credential", credential=""))
    )
    assert (error.code.name, error.reason) == ("ABORTED", "CHANGED_MEANWHILE")  # type: ignore[attr-defined]
    got = await api.GetArtifact(artifact_pb2.GetArtifactRequest(name=created.name))
    assert (got.upstream, got.credential) == (created.upstream, "")
    assert got.etag == changed.etag  # type: ignore[attr-defined]


async def test_what_changed_beside_the_source_is_kept(acme: Plane, fake: FakeRegistry) -> None:
    """A change of something else, and the same change made by somebody else, are none to refuse for."""
    api = acme.root.artifacts
    await create(acme.root)
    await artifact(acme.root, fake)
    moved = _update("upstream", upstream=f"{fake.host}/team/other")
    got, _ = await _meanwhile(
        fake, api.UpdateArtifact(moved), api.UpdateArtifact(_update("display_name", display_name="App"))
    )
    assert (got.upstream, got.display_name) == (f"{fake.host}/team/other", "App")  # type: ignore[attr-defined]
    back = _update("upstream", upstream=f"{fake.host}/team/app")
    same = artifact_pb2.UpdateArtifactRequest()
    same.CopyFrom(back)
    same.skip_upstream_check = True
    got, other = await _meanwhile(fake, api.UpdateArtifact(back), api.UpdateArtifact(same))
    assert got.upstream == other.upstream == f"{fake.host}/team/app"  # type: ignore[attr-defined]


async def test_a_credential_whose_secret_changed_is_left_so(acme: Plane, fake: FakeRegistry) -> None:
    """A user name that is tried with the old password does not bring that back."""
    api = acme.root.credentials
    await create(acme.root)
    await artifact(acme.root, fake)
    assert isinstance(fake.gate, BasicGate)
    fake.gate.users["bob"] = PASSWORD
    renamed = credential_pb2.UpdateCredentialRequest(
        credential=credential_pb2.Credential(name=HUB, basic=credential_pb2.BasicCredential(username="bob")),
        update_mask=FieldMask(paths=["basic"]),
    )
    rotated = basic("another password")
    rotated.name = HUB
    quicker = credential_pb2.UpdateCredentialRequest(credential=rotated, skip_upstream_check=True)
    error, changed = await _meanwhile(
        fake, refused(api.UpdateCredential(renamed)), api.UpdateCredential(quicker)
    )
    assert (error.code.name, error.reason) == ("ABORTED", "CHANGED_MEANWHILE")  # type: ignore[attr-defined]
    got = await api.GetCredential(credential_pb2.GetCredentialRequest(name=HUB))
    assert (got.basic.username, got.basic.password_hint) == ("alice", "word")
    assert got.etag == changed.etag  # type: ignore[attr-defined]
