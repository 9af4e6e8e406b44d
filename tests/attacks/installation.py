"""A real control plane in this process, with credentials, for attacks by those who may call its API."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from google.protobuf.message import Message

from clients.control.client import ControlClient
from controlplane.server import running
from controlplane.settings import Settings
from penstock.v1.artifact_pb2 import Artifact, CreateArtifactRequest
from penstock.v1.credential_pb2 import (
    AwsEcrCredential,
    BasicCredential,
    CreateCredentialRequest,
    Credential,
)
from tests.attacks.scene import PASSWORD, USER
from tests.fakes.secrets import occurs
from tests.servers.control_plane import Plane

ORGANIZATION = "acme"
NAME = f"organizations/{ORGANIZATION}/credentials/vendor"


@asynccontextmanager
async def installed(directory: Path, *, allow_private: bool = True) -> AsyncIterator[Plane]:
    """A control plane with one organization; what is in the directory already is kept."""
    settings = Settings(
        data_dir=directory,
        grpc_listen="127.0.0.1:0",
        http_listen="127.0.0.1:0",
        database_url="",
        allow_private_upstreams=allow_private,
    )
    async with running(settings) as started, AsyncExitStack() as stack:
        token = started.new_admin_token or (directory / "admin-token").read_text().strip()
        root = await stack.enter_async_context(ControlClient(str(started.grpc), token))
        plane = Plane(started, directory, root, token, stack)
        if started.new_admin_token is not None:
            await plane.organization(ORGANIZATION)
        yield plane


def basic(password: str = PASSWORD) -> CreateCredentialRequest:
    """The request for a credential of type basic."""
    return CreateCredentialRequest(
        parent=f"organizations/{ORGANIZATION}",
        credential_id="vendor",
        credential=Credential(basic=BasicCredential(username=USER, password=password)),
    )


def ecr(endpoint: str, *, skip_upstream_check: bool = False) -> CreateCredentialRequest:
    """The request for one of type aws_ecr; its secret is PASSWORD."""
    key = AwsEcrCredential(
        access_key_id="AKIA0123456789ABCDEF", secret_access_key=PASSWORD, endpoint=endpoint
    )
    return CreateCredentialRequest(
        parent=f"organizations/{ORGANIZATION}",
        credential_id="vendor",
        credential=Credential(aws_ecr=key),
        skip_upstream_check=skip_upstream_check,
    )


def artifact(upstream: str, artifact_id: str = "app", **fields: object) -> CreateArtifactRequest:
    """The request for an artifact that uses the credential, at plain HTTP."""
    described = {"upstream": upstream, "plain_http": True, "credential": NAME, **fields}
    return CreateArtifactRequest(
        parent=f"organizations/{ORGANIZATION}",
        artifact_id=artifact_id,
        artifact=Artifact(**described),  # type: ignore[arg-type]  # fields by name, checked when made
    )


def tells(answer: Message, secret: str = PASSWORD) -> bool:
    """Whether an answer has a secret anywhere."""
    return occurs(secret, answer.SerializeToString())
