"""Attacks through the API: by those who may call it, and by those who got at its database."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from clients.control.client import ControlClient
from penstock.v1.artifact_pb2 import Artifact, CreateArtifactRequest, UpdateArtifactRequest
from penstock.v1.credential_pb2 import (
    BasicCredential,
    Credential,
    DeleteCredentialRequest,
    GetCredentialRequest,
    ListCredentialsRequest,
    UpdateCredentialRequest,
)
from penstock.v1.node_pb2 import GetUpstreamAccessRequest
from tests.attacks.installation import (
    NAME,
    ORGANIZATION,
    artifact,
    basic,
    installed,
    tells,
)
from tests.attacks.scene import PASSWORD, USER
from tests.fakes.gates import BasicGate
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.fakes.secrets import occurs
from tests.fakes.tokens import TokenService
from tests.servers.certificates import Authority
from tests.servers.control_plane import Plane, refused

IMAGE = make_image(seed=11)


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    """A control plane that may reach private addresses, as tests must."""
    async with installed(tmp_path / "data") as plane:
        yield plane


@pytest.fixture
def vendor(fake: FakeRegistry) -> FakeRegistry:
    """A registry that wants alice's password."""
    fake.gate = BasicGate({USER: PASSWORD})
    fake.add(IMAGE, "team/app", ["1.0"])
    return fake


@pytest.mark.parametrize("role", ["admin", "read_write"])
async def test_reading_the_secret_back(plane: Plane, vendor: FakeRegistry, role: str) -> None:
    """No answer to anybody has it: not to whoever made it, not in a list, not after a change."""
    answers = [await plane.root.credentials.CreateCredential(basic())]
    await plane.root.artifacts.CreateArtifact(artifact(f"{vendor.host}/team/app"))
    member = await plane.member(ORGANIZATION, role)
    for client in (plane.root, member):
        answers += [
            await client.credentials.GetCredential(GetCredentialRequest(name=NAME)),
            await client.credentials.ListCredentials(
                ListCredentialsRequest(parent=f"organizations/{ORGANIZATION}")
            ),
        ]
    change = UpdateCredentialRequest(
        credential=Credential(name=NAME, basic=BasicCredential(username=USER, password=PASSWORD)),
        update_mask=FieldMask(paths=["basic.password"]),
    )
    answers.append(await plane.root.credentials.UpdateCredential(change))
    assert not [answer for answer in answers if tells(answer)]


@pytest.mark.parametrize("password", ["short", "elevenchars", "twelve-chars"])
async def test_hint_that_gives_too_much_away(plane: Plane, password: str) -> None:
    """Four characters of a long password are told, and none of a short one."""
    created = await plane.root.credentials.CreateCredential(basic(password))
    assert created.basic.password_hint == (password[-4:] if len(password) >= 12 else "")


async def test_credential_of_another_organization(plane: Plane, vendor: FakeRegistry) -> None:
    """It cannot be seen, changed, deleted or used; it looks as if it were not there."""
    await plane.root.credentials.CreateCredential(basic())
    await plane.organization("rival")
    rival = await plane.member("rival", "admin")
    use = CreateArtifactRequest(
        parent="organizations/rival",
        artifact_id="app",
        artifact=Artifact(upstream=f"{vendor.host}/team/app", plain_http=True, credential=NAME),
    )
    changed = Credential(name=NAME, basic=BasicCredential(username=USER, password="of-the-rival"))
    calls = [
        rival.credentials.GetCredential(GetCredentialRequest(name=NAME)),
        rival.credentials.ListCredentials(ListCredentialsRequest(parent=f"organizations/{ORGANIZATION}")),
        rival.credentials.UpdateCredential(UpdateCredentialRequest(credential=changed)),
        rival.credentials.DeleteCredential(DeleteCredentialRequest(name=NAME)),
    ]
    for call in calls:
        assert (await refused(call)).code is grpc.StatusCode.NOT_FOUND
    for client in (rival, plane.root):
        error = await refused(client.artifacts.CreateArtifact(use))
        assert error.code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
    assert vendor.requests == []


async def test_registry_of_ones_own(plane: Plane, vendor: FakeRegistry) -> None:
    """Who may create artifacts, and not read passwords, names a registry that would be shown one."""
    await plane.root.credentials.CreateCredential(basic())
    await plane.root.artifacts.CreateArtifact(artifact(f"{vendor.host}/team/app"))
    writer = await plane.member(ORGANIZATION, "read_write")
    await writer.artifacts.CreateArtifact(artifact(f"{vendor.host}/team/app", "second"))
    async with FakeRegistry() as own:
        own.gate = BasicGate({})
        error = await refused(writer.artifacts.CreateArtifact(artifact(f"{own.host}/team/app", "third")))
        moved = artifact(f"{own.host}/team/app").artifact
        moved.name = f"organizations/{ORGANIZATION}/artifacts/second"
        again = await refused(
            writer.artifacts.UpdateArtifact(
                UpdateArtifactRequest(artifact=moved, update_mask=FieldMask(paths=["upstream"]))
            )
        )
        assert {error.code, again.code} == {grpc.StatusCode.PERMISSION_DENIED}
        assert own.requests == []


@pytest.mark.parametrize("who", ["node", "read_only"])
async def test_credential_by(plane: Plane, who: str) -> None:
    """A node's token opens nothing that is not for nodes, and who only pulls needs no credentials."""
    await plane.root.credentials.CreateCredential(basic())
    client = await (plane.node("eu-1") if who == "node" else plane.member(ORGANIZATION, who))
    error = await refused(client.credentials.GetCredential(GetCredentialRequest(name=NAME)))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("who", ["admin", "read_write", "read_only", "root"])
async def test_upstream_access_by_a_user(plane: Plane, vendor: FakeRegistry, who: str) -> None:
    """What nodes are handed is for nodes: it would be a way to read the password."""
    await plane.root.credentials.CreateCredential(basic())
    created = await plane.root.artifacts.CreateArtifact(artifact(f"{vendor.host}/team/app"))
    client = plane.root if who == "root" else await plane.member(ORGANIZATION, who)
    error = await refused(client.nodes.GetUpstreamAccess(GetUpstreamAccessRequest(artifact_uid=created.uid)))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED


async def test_password_for_a_node_where_a_token_would_do(plane: Plane, fake: FakeRegistry) -> None:
    """A node of a registry with tokens gets a token, and never what the token was got with."""
    fake.add(IMAGE, "team/app", ["1.0"])
    fake.tokens = TokenService()
    await plane.root.credentials.CreateCredential(basic())
    created = await plane.root.artifacts.CreateArtifact(artifact(f"{fake.host}/team/app"))
    node = await plane.node("eu-1")
    access = await node.nodes.GetUpstreamAccess(GetUpstreamAccessRequest(artifact_uid=created.uid))
    assert access.authorization.removeprefix("Bearer ") in fake.tokens.issued
    assert access.HasField("expire_time")
    assert not tells(access)


@pytest.mark.parametrize(
    "upstream", ["{user}:{password}@{host}/team/app", "http://{user}:{password}@{host}/x"]
)
async def test_password_in_the_url(plane: Plane, fake: FakeRegistry, upstream: str) -> None:
    """It would be kept and shown like any other part of the URL; the refusal does not repeat it."""
    text = upstream.format(user=USER, password=PASSWORD, host=fake.host)
    error = await refused(plane.root.artifacts.CreateArtifact(artifact(text, credential="")))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert PASSWORD not in str(error)
    assert not [each for each in error.violations if PASSWORD in each.description]


async def test_private_key_among_the_certificates(plane: Plane, fake: FakeRegistry, tmp_path: Path) -> None:
    """Certificates are shown to everybody who may read the artifact: a key among them is refused."""
    pair = Authority().issue(tmp_path, "127.0.0.1")
    pem = pair.certificate.read_text() + pair.key.read_text()
    request = artifact(f"{fake.host}/team/app", credential="", ca_certificates=pem, plain_http=False)
    error = await refused(plane.root.artifacts.CreateArtifact(request))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "PRIVATE KEY-----\n" not in str(error)


async def test_database_without_its_key(tmp_path: Path, vendor: FakeRegistry) -> None:
    """Who has the database alone, or the whole directory without the key, has no password."""
    data = tmp_path / "data"
    async with installed(data) as plane:
        await plane.root.credentials.CreateCredential(basic())
        await plane.root.artifacts.CreateArtifact(artifact(f"{vendor.host}/team/app"))
    assert [path for path in data.iterdir() if path.suffix == ".db"]
    assert not [path for path in data.rglob("*") if path.is_file() and occurs(PASSWORD, path.read_bytes())]


async def test_secret_moved_to_another_row(tmp_path: Path, vendor: FakeRegistry) -> None:
    """Who can write to the database cannot have one credential's secret used as another's."""
    async with installed(tmp_path / "data") as plane:
        await plane.root.credentials.CreateCredential(basic())
        await plane.organization("rival")
        request = basic("of-the-rival-0123456789")
        request.parent = "organizations/rival"
        await plane.root.credentials.CreateCredential(request)
        _copy_secrets(plane.data / "controlplane.db")
        use = CreateArtifactRequest(
            parent="organizations/rival",
            artifact_id="app",
            artifact=Artifact(
                upstream=f"{vendor.host}/team/app",
                plain_http=True,
                credential="organizations/rival/credentials/vendor",
            ),
        )
        error = await refused(plane.root.artifacts.CreateArtifact(use))
    assert error.code is not grpc.StatusCode.OK
    assert not vendor.saw(PASSWORD)


def _copy_secrets(path: Path) -> None:
    """Overwrites every sealed value of every credential with those of the first row."""
    with closing(sqlite3.connect(path)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(credential)")]
        first = connection.execute("SELECT * FROM credential ORDER BY id").fetchone()
        sealed = {
            column: value
            for column, value in zip(columns, first, strict=True)
            if isinstance(value, str) and value.startswith("v1.")
        }
        assert sealed, "nothing in the table is sealed"
        assignments = ", ".join(f"{column} = ?" for column in sealed)
        connection.execute(f"UPDATE credential SET {assignments}", tuple(sealed.values()))
        connection.commit()


async def test_client_without_a_token(plane: Plane) -> None:
    """Nobody lists credentials without saying who they are."""
    await plane.root.credentials.CreateCredential(basic())
    async with ControlClient(str(plane.running.grpc), "pst_guess") as stranger:
        error = await refused(
            stranger.credentials.ListCredentials(
                ListCredentialsRequest(parent=f"organizations/{ORGANIZATION}")
            )
        )
    assert error.code is grpc.StatusCode.UNAUTHENTICATED
