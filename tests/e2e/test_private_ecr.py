"""Pulls and syncs through Amazon ECR: its tokens end, are shared, and never go where blobs are kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest

from clients.control.client import ControlClient
from penstock.v1 import artifact_pb2
from tests.fakes.blobs import GeneratedBlob
from tests.fakes.ecr import FakeEcr
from tests.fakes.gates import BasicGate, EcrGate
from tests.fakes.images import Image, make_image
from tests.fakes.registry import FakeRegistry
from tests.servers import http
from tests.servers.disclosure import Secrets
from tests.servers.node import Node
from tests.servers.penstock import Organization, Penstock
from tests.servers.pulling import digest_of, session

pytestmark = pytest.mark.slow

ARTIFACTS = 50
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Account:
    """An AWS account with a registry, and an organization that has a key of it."""

    ecr: FakeEcr
    gate: EcrGate
    registry: FakeRegistry
    organization: Organization
    authorization: str

    def pulls(self, node: str) -> aiohttp.ClientSession:
        """A client of one node."""
        return session(node, self.authorization)

    async def artifact(self, name: str, repository: str) -> None:
        """Creates an artifact with the account's credential, and waits for its first sync."""
        upstream = f"{self.registry.host}/{repository}"
        await asyncio.to_thread(self.organization.artifact, upstream, name, credential="ecr")

    async def sync(self, name: str) -> None:
        path = f"{self.organization.name}/{name}"
        await asyncio.to_thread(self.organization.penstock.cli, "artifacts", "sync", path, "--wait")

    async def manifest(self, client: aiohttp.ClientSession, name: str, reference: str) -> tuple[int, bytes]:
        async with client.get(f"/v2/{self.organization.name}/{name}/manifests/{reference}") as answer:
            return answer.status, await answer.read()

    async def blob(self, client: aiohttp.ClientSession, name: str, image: Image) -> str:
        digest = image.layers[0].digest
        return await digest_of(client, f"/v2/{self.organization.name}/{name}/blobs/{digest}")


@pytest.fixture
async def account(private: Penstock, used: Secrets, fake: FakeRegistry) -> AsyncIterator[Account]:
    """An account whose key Penstock has; every token that was issued is a secret as well."""
    async with AsyncExitStack() as stack:
        ecr = stack.enter_context(FakeEcr())
        fake.gate = gate = EcrGate(ecr)
        used.add("an AWS secret access key", ecr.secret_access_key)
        organization = await asyncio.to_thread(private.organization)
        authorization = http.basic(await asyncio.to_thread(lambda: organization.token))
        await asyncio.to_thread(
            organization.ecr_credential, "ecr", ecr.access_key_id, ecr.secret_access_key, ecr.url
        )
        used.watch("an ECR token", ecr.passwords)
        yield Account(ecr, gate, fake, organization, authorization)


def image_of(artifact_id: str, number: int = 0, size: int = 4096) -> Image:
    """An image whose one layer nobody has pulled before."""
    seed = int(artifact_id.removeprefix("app")) * 1000 + number
    return make_image(layers=[GeneratedBlob(seed, size)], seed=seed)


async def test_sync_and_pull(account: Account, private: Penstock, artifact_id: str) -> None:
    """A key gives a token, which reads tags, manifests and blobs; one token does for all."""
    image = account.registry.add(image_of(artifact_id), "team/app", ["1.0"])
    await account.artifact(artifact_id, "team/app")
    async with account.pulls(private.registry) as client:
        assert (await account.manifest(client, artifact_id, "1.0")) == (200, image.manifest)
        assert await account.blob(client, artifact_id, image) == str(image.layers[0].digest)
    assert len(account.ecr.passwords) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_token_that_ended_a_second_ago(
    account: Account, private: Penstock, artifact_id: str, status: int
) -> None:
    """Nobody notices, in a pull or in a sync, whatever the registry says of an old token."""
    account.gate.expired_status = status
    first, second, third = (image_of(artifact_id, number) for number in range(3))
    account.registry.add(first, "team/app", ["1.0"])
    await account.artifact(artifact_id, "team/app")
    async with account.pulls(private.registry) as client:
        account.ecr.expire()
        assert await account.blob(client, artifact_id, first) == str(first.layers[0].digest)

        account.registry.add(second, "team/app", ["2.0"])
        account.ecr.expire()
        assert (await account.manifest(client, artifact_id, "2.0")) == (200, second.manifest)

        account.registry.add(third, "team/app", ["3.0"])
        account.ecr.expire()
        await account.sync(artifact_id)
        assert await account.blob(client, artifact_id, third) == str(third.layers[0].digest)
    assert len(account.ecr.passwords) == 4


async def test_token_that_ends_in_the_middle_of_a_blob(
    account: Account, private: Penstock, artifact_id: str
) -> None:
    """The transfer breaks off and the token has ended: the client gets the whole blob all the same."""
    image = account.registry.add(image_of(artifact_id, size=3 * MIB), "team/app", ["1.0"])
    await account.artifact(artifact_id, "team/app")
    digest = str(image.layers[0].digest)
    gate = asyncio.Event()
    account.registry.faults.add(
        "blobs", reference=digest, pause_after=MIB, gate=gate, cut_after=2 * MIB, times=1
    )
    async with account.pulls(private.registry) as client:
        pulled = asyncio.create_task(account.blob(client, artifact_id, image))
        await account.registry.asked("blobs")
        account.ecr.expire()
        gate.set()
        assert await pulled == digest
    assert len(account.ecr.passwords) == 2


async def known(account: Account, client: aiohttp.ClientSession, name: str) -> None:
    """Waits until every worker of a node serves an artifact."""
    served = 0
    while served < 10:
        status, _ = await account.manifest(client, name, "1.0")
        served = served + 1 if status == 200 else 0


async def test_fifty_artifacts_and_two_nodes(
    account: Account, private: Penstock, second_node: Node, artifact_id: str
) -> None:
    """All are synced and pulled at once, from both nodes, after the token has ended: ECR is asked once."""
    images = {}
    parent = f"organizations/{account.organization.name}"
    async with ControlClient(private.grpc, private.admin_token) as control:
        for number in range(ARTIFACTS):
            name = f"{artifact_id}-{number}"
            images[name] = account.registry.add(image_of(artifact_id, number), name, ["1.0"])
            await control.artifacts.CreateArtifact(
                artifact_pb2.CreateArtifactRequest(
                    parent=parent,
                    artifact_id=name,
                    artifact=artifact_pb2.Artifact(
                        upstream=f"{account.registry.host}/{name}",
                        plain_http=True,
                        credential=f"{parent}/credentials/ecr",
                    ),
                )
            )
        assert len(account.ecr.calls) == 1

        async def synced(name: str) -> None:
            request = artifact_pb2.SyncArtifactRequest(name=f"{parent}/artifacts/{name}")
            job = await control.artifacts.SyncArtifact(request)
            watch = control.artifacts.WatchSyncJob(artifact_pb2.WatchSyncJobRequest(name=job.name))
            states = [state async for state in watch]
            assert states[-1].state == artifact_pb2.SyncJob.SUCCEEDED, states[-1]

        async def pulled(client: aiohttp.ClientSession, name: str) -> None:
            assert await account.manifest(client, name, "1.0") == (200, images[name].manifest)
            assert await account.blob(client, name, images[name]) == str(images[name].layers[0].digest)

        async with account.pulls(private.registry) as one, account.pulls(second_node.registry) as other:
            # Nodes hear of artifacts a moment after they were created, the last one last.
            for client in (one, other):
                await known(account, client, name)
            account.ecr.expire()
            await asyncio.gather(
                *(synced(name) for name in images),
                *(pulled(client, name) for name in images for client in (one, other)),
            )
    assert len(account.ecr.calls) == 2


async def test_redirect_to_another_origin(
    private: Penstock, used: Secrets, fake: FakeRegistry, artifact_id: str
) -> None:
    """Storage elsewhere gives the blob, and gets no Authorization."""
    password = used.add("a password", f"of-{artifact_id}-0d9c7b6a5f")
    fake.gate = BasicGate({"alice": password})
    image = fake.add(image_of(artifact_id), "team/app", ["1.0"])
    organization = await asyncio.to_thread(private.organization)
    authorization = http.basic(await asyncio.to_thread(lambda: organization.token))
    await asyncio.to_thread(organization.basic_credential, "vendor", "alice", password)
    async with FakeRegistry() as storage, session(private.registry, authorization) as client:
        storage.add(image, "team/app")
        digest = str(image.layers[0].digest)
        signature = used.add("a signed URL", f"5f0c1d{artifact_id}9b7e3a2d4c6f8e1b")
        signed = f"{storage.base_url}/v2/team/app/blobs/{digest}?X-Amz-Signature={signature}"
        fake.faults.add("blobs", reference=digest, redirect=signed)
        await asyncio.to_thread(
            organization.artifact, f"{fake.host}/team/app", artifact_id, credential="vendor"
        )
        assert await digest_of(client, f"/v2/{organization.name}/{artifact_id}/blobs/{digest}") == digest
        (asked,) = storage.requests
        assert asked.path.endswith(signature)
        assert "Authorization" not in asked.headers
    assert fake.saw(password)
    assert not fake.saw(organization.token)
