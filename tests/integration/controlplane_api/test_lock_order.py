"""Changes that touch the same rows at once, on a real PostgreSQL: none waits for one that waits for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from clients.control.errors import ControlError, translated
from controlplane.model.identifiers import new_uid
from controlplane.settings import Settings
from penstock.v1 import artifact_pb2, customer_pb2, entitlement_pb2, organization_pb2
from penstock.v1 import credential_pb2 as credentials
from tests.integration.conftest import Copies
from tests.servers.control_plane import Plane, on_database

pytestmark = pytest.mark.real

# Of each pair. They run at once, and wait for each other's revision of the configuration as well.
_ROUNDS = 4


@pytest.fixture
async def plane(postgres_copies: Copies, settings: Settings) -> AsyncIterator[Plane]:
    """Run a fresh control plane on PostgreSQL."""
    async with on_database(await postgres_copies.url(), settings) as plane:
        yield plane


async def _artifact(plane: Plane, number: int, credential: str = "") -> artifact_pb2.Artifact:
    artifact = artifact_pb2.Artifact(upstream="127.0.0.1:1/team/app", plain_http=True, credential=credential)
    return await plane.root.artifacts.CreateArtifact(
        artifact_pb2.CreateArtifactRequest(
            parent=f"organizations/acme{number}",
            artifact_id=f"app{credential.rpartition('/')[2]}",
            artifact=artifact,
            skip_upstream_check=True,
        )
    )


def _entitlement(number: int, name: str, *artifacts: str) -> entitlement_pb2.Entitlement:
    return entitlement_pb2.Entitlement(
        name=f"organizations/acme{number}/entitlements/{name}",
        customer=f"organizations/acme{number}/customers/globex",
        grants=[
            entitlement_pb2.Entitlement.Grant(artifact=each, tags=entitlement_pb2.TagRule(all_tags=True))
            for each in artifacts
        ],
    )


class _Shop:
    """An organization with a credential, two artifacts, and a customer with two entitlements to both."""

    def __init__(self, plane: Plane, number: int) -> None:
        self.root = plane.root
        self.number = number
        self.name = f"organizations/acme{number}"
        self.credential = f"{self.name}/credentials/hub"
        self.artifacts: list[str] = []

    async def open(self, plane: Plane) -> "_Shop":
        await plane.organization(f"acme{self.number}")
        await self.root.credentials.CreateCredential(
            credentials.CreateCredentialRequest(
                parent=self.name,
                credential_id="hub",
                credential=credentials.Credential(
                    basic=credentials.BasicCredential(username="alice", password="first")
                ),
                skip_upstream_check=True,
            )
        )
        for credential in ("", self.credential):
            self.artifacts.append((await _artifact(plane, self.number, credential)).name)
        await self.root.customers.CreateCustomer(
            customer_pb2.CreateCustomerRequest(parent=self.name, customer_id="globex")
        )
        for name in ("one", "two"):
            await self.create_entitlement(name)
        # Rows lie in another order than they were made in.
        await self.update_entitlement()
        return self

    async def create_entitlement(self, name: str = "three") -> object:
        return await self.root.entitlements.CreateEntitlement(
            entitlement_pb2.CreateEntitlementRequest(
                parent=self.name,
                entitlement_id=name,
                entitlement=_entitlement(self.number, name, *reversed(self.artifacts)),
            )
        )

    async def update_entitlement(self) -> object:
        changed = _entitlement(self.number, "one", self.artifacts[0])
        changed.display_name = new_uid()
        return await self.root.entitlements.UpdateEntitlement(
            entitlement_pb2.UpdateEntitlementRequest(
                entitlement=changed, update_mask=FieldMask(paths=["display_name", "grants"])
            )
        )

    async def delete_customer(self) -> object:
        return await self.root.customers.DeleteCustomer(
            customer_pb2.DeleteCustomerRequest(name=f"{self.name}/customers/globex", force=True)
        )

    async def delete_artifact(self) -> object:
        return await self.root.artifacts.DeleteArtifact(
            artifact_pb2.DeleteArtifactRequest(name=self.artifacts[0])
        )

    async def update_artifact(self) -> object:
        changed = artifact_pb2.Artifact(
            name=self.artifacts[0], cache_policy=artifact_pb2.CachePolicy(pin_tags=["1.*"])
        )
        return await self.root.artifacts.UpdateArtifact(
            artifact_pb2.UpdateArtifactRequest(
                artifact=changed, update_mask=FieldMask(paths=["cache_policy"])
            )
        )

    async def move_artifact(self) -> object:
        changed = artifact_pb2.Artifact(name=self.artifacts[1], upstream="127.0.0.1:1/team/moved")
        return await self.root.artifacts.UpdateArtifact(
            artifact_pb2.UpdateArtifactRequest(
                artifact=changed, update_mask=FieldMask(paths=["upstream"]), skip_upstream_check=True
            )
        )

    async def update_credential(self) -> object:
        basic = credentials.BasicCredential(username="alice", password="second")
        return await self.root.credentials.UpdateCredential(
            credentials.UpdateCredentialRequest(
                credential=credentials.Credential(name=self.credential, basic=basic),
                skip_upstream_check=True,
            )
        )

    async def delete_organization(self) -> object:
        return await self.root.organizations.DeleteOrganization(
            organization_pb2.DeleteOrganizationRequest(name=self.name, force=True)
        )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_Shop.delete_artifact, _Shop.update_entitlement),
        (_Shop.delete_artifact, _Shop.delete_customer),
        (_Shop.delete_artifact, _Shop.create_entitlement),
        (_Shop.update_artifact, _Shop.create_entitlement),
        (_Shop.update_artifact, _Shop.update_entitlement),
        (_Shop.update_entitlement, _Shop.delete_customer),
        (_Shop.update_credential, _Shop.move_artifact),
        (_Shop.delete_organization, _Shop.update_credential),
        (_Shop.delete_organization, _Shop.update_entitlement),
        (_Shop.delete_organization, _Shop.move_artifact),
    ],
)
async def test_changes_at_once_do_not_wait_in_a_circle(
    plane: Plane,
    pauses: Callable[[], None],
    one: Callable[[_Shop], Awaitable[object]],
    other: Callable[[_Shop], Awaitable[object]],
) -> None:
    """Whichever comes first, no change is given up as one of a deadlock."""
    shops = await asyncio.gather(*(_Shop(plane, number).open(plane) for number in range(_ROUNDS)))
    pauses()

    async def ends(change: Awaitable[object]) -> str:
        try:
            with translated():
                await change
        except ControlError as error:
            return error.reason
        return ""

    ended = await asyncio.gather(*(ends(change(shop)) for shop in shops for change in (one, other)))
    assert "" in ended
    assert "DATABASE_UNAVAILABLE" not in ended, ended
