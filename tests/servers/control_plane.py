"""A control plane in the process of the tests, and callers of every kind."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients.control.client import ControlClient
from clients.control.errors import ControlError, translated
from controlplane.server import Running, running
from controlplane.settings import Settings
from penstock.v1 import artifact_pb2, node_pb2, organization_pb2, user_pb2

ROLES = {
    "admin": user_pb2.ROLE_ADMIN,
    "read_write": user_pb2.ROLE_READ_WRITE,
    "read_only": user_pb2.ROLE_READ_ONLY,
}


@dataclass
class Plane:
    """A control plane and its clients; `root` is the administrator of the installation."""

    running: Running
    data: Path
    root: ControlClient
    root_token: str
    stack: AsyncExitStack

    async def client(self, token: str) -> ControlClient:
        """Connect as the owner of a token."""
        return await self.stack.enter_async_context(ControlClient(str(self.running.grpc), token))

    async def organization(self, slug: str) -> organization_pb2.Organization:
        """Create an organization."""
        return await self.root.organizations.CreateOrganization(
            organization_pb2.CreateOrganizationRequest(organization_id=slug)
        )

    async def user(
        self, organization: str, role: str, email: str | None = None, *, customer: str = ""
    ) -> tuple[user_pb2.User, str]:
        """Create a user with a token, and give both."""
        user = await self.root.users.CreateUser(
            user_pb2.CreateUserRequest(
                parent=f"organizations/{organization}",
                user=user_pb2.User(
                    email=email or f"{role}@{organization}.example.com", role=ROLES[role], customer=customer
                ),
            )
        )
        created = await self.root.users.CreateToken(user_pb2.CreateTokenRequest(parent=user.name))
        return user, created.secret

    async def member(self, organization: str, role: str) -> ControlClient:
        """Connect as a new user of an organization."""
        return await self.client((await self.user(organization, role))[1])

    async def node(self, node_id: str) -> ControlClient:
        """Connect as a new node."""
        created = await self.root.nodes.CreateNode(node_pb2.CreateNodeRequest(node_id=node_id))
        return await self.client(created.secret)

    async def artifact(
        self, organization: str, artifact_id: str, upstream: str = "127.0.0.1:1/team/app"
    ) -> artifact_pb2.Artifact:
        """Create an artifact without asking its upstream."""
        return await self.root.artifacts.CreateArtifact(
            artifact_pb2.CreateArtifactRequest(
                parent=f"organizations/{organization}",
                artifact_id=artifact_id,
                artifact=artifact_pb2.Artifact(upstream=upstream, plain_http=True),
                skip_upstream_check=True,
            )
        )

    def revision(self) -> int:
        """Give the configuration revision that nodes are told of."""
        with closing(sqlite3.connect(self.data / "controlplane.db")) as connection:
            (revision,) = connection.execute("SELECT config_revision FROM singleton").fetchone()
        return int(revision)


@asynccontextmanager
async def on_database(url: str, settings: Settings) -> AsyncIterator[Plane]:
    """A fresh control plane on an empty database."""
    async with (
        running(settings.model_copy(update={"database_url": url})) as started,
        AsyncExitStack() as stack,
    ):
        token = started.new_admin_token or ""
        root = await stack.enter_async_context(ControlClient(str(started.grpc), token))
        yield Plane(started, settings.data_dir, root, token, stack)


async def refused(call: Awaitable[object]) -> ControlError:
    """Give what a call was refused with, as `clients.control` tells it."""
    with pytest.raises(ControlError) as caught, translated():
        await call
    return caught.value
