"""Private upstreams over the API: one credential of one organization, and artifacts that use it."""

from clients.control.client import ControlClient
from penstock.v1 import artifact_pb2, credential_pb2
from tests.fakes.ecr import FakeEcr
from tests.fakes.registry import FakeRegistry

PASSWORD = "correct horse battery staple"
ACME = "organizations/acme"
HUB = f"{ACME}/credentials/hub"


def basic(password: str = PASSWORD) -> credential_pb2.Credential:
    """Alice's credential, as it is sent."""
    return credential_pb2.Credential(
        basic=credential_pb2.BasicCredential(username="alice", password=password)
    )


def access_key(fake: FakeEcr) -> credential_pb2.Credential:
    """The access key of the fake AWS, as it is sent."""
    return credential_pb2.Credential(
        aws_ecr=credential_pb2.AwsEcrCredential(
            access_key_id=fake.access_key_id, secret_access_key=fake.secret_access_key, endpoint=fake.url
        )
    )


async def create(
    client: ControlClient, credential: credential_pb2.Credential | None = None, **more: object
) -> credential_pb2.Credential:
    """Create organizations/acme/credentials/hub."""
    return await client.credentials.CreateCredential(
        credential_pb2.CreateCredentialRequest(
            parent=ACME, credential_id="hub", credential=credential or basic(), **more
        )
    )


async def rotate(client: ControlClient, password: str, **more: object) -> credential_pb2.Credential:
    """Give alice's credential another password."""
    changed = basic(password)
    changed.name = HUB
    return await client.credentials.UpdateCredential(
        credential_pb2.UpdateCredentialRequest(credential=changed, **more)
    )


async def artifact(
    client: ControlClient,
    fake: FakeRegistry,
    artifact_id: str = "app",
    path: str = "team/app",
    **more: object,
) -> artifact_pb2.Artifact:
    """Create an artifact that uses the credential."""
    return await client.artifacts.CreateArtifact(
        artifact_pb2.CreateArtifactRequest(
            parent=ACME,
            artifact_id=artifact_id,
            artifact=artifact_pb2.Artifact(upstream=f"{fake.host}/{path}", plain_http=True, credential=HUB),
            **more,
        )
    )


async def synced(client: ControlClient, name: str) -> artifact_pb2.SyncJob:
    """The newest sync of an artifact, when it has ended."""
    jobs = await client.artifacts.ListSyncJobs(artifact_pb2.ListSyncJobsRequest(parent=name))
    last = jobs.sync_jobs[0]
    async for job in client.artifacts.WatchSyncJob(artifact_pb2.WatchSyncJobRequest(name=last.name)):
        last = job
    return last
