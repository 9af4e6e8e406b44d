"""Every method that changes something leaves an entry in the audit log, and REST tells them."""

import asyncio
import functools

from controlplane.api import audit
from controlplane.api.authorize import WHO_MAY, Who
from penstock.v1 import (
    artifact_pb2,
    credential_pb2,
    customer_pb2,
    entitlement_pb2,
    node_pb2,
    organization_pb2,
    user_pb2,
)
from penstock.v1 import audit_pb2 as pb
from tests.fakes.waiting import until
from tests.servers import http
from tests.servers.control_plane import Plane

ACME = "organizations/acme"
APP, HUB, GLOBEX, TRIAL = (
    f"{ACME}/{name}"
    for name in ("artifacts/app", "credentials/hub", "customers/globex", "entitlements/trial")
)


async def _create(plane: Plane) -> user_pb2.Token:
    root = plane.root
    await plane.organization("acme")
    await root.customers.CreateCustomer(customer_pb2.CreateCustomerRequest(parent=ACME, customer_id="globex"))
    user = await root.users.CreateUser(
        user_pb2.CreateUserRequest(parent=ACME, user=user_pb2.User(email="ci@example.com"))
    )
    created = await root.users.CreateToken(user_pb2.CreateTokenRequest(parent=user.name))
    basic = credential_pb2.BasicCredential(username="alice", password="p4ssw0rd")
    await root.credentials.CreateCredential(
        credential_pb2.CreateCredentialRequest(
            parent=ACME, credential_id="hub", credential=credential_pb2.Credential(basic=basic)
        )
    )
    await plane.artifact("acme", "app")
    grant = entitlement_pb2.Entitlement.Grant(artifact=APP, tags=entitlement_pb2.TagRule(all_tags=True))
    await root.entitlements.CreateEntitlement(
        entitlement_pb2.CreateEntitlementRequest(
            parent=ACME,
            entitlement_id="trial",
            entitlement=entitlement_pb2.Entitlement(customer=GLOBEX, grants=[grant]),
        )
    )
    await root.nodes.CreateNode(node_pb2.CreateNodeRequest(node_id="one"))
    return created.token


async def _change(plane: Plane, user: str) -> None:
    root, text = plane.root, "new"
    await root.organizations.UpdateOrganization(
        organization_pb2.UpdateOrganizationRequest(
            organization=organization_pb2.Organization(name=ACME, display_name=text)
        )
    )
    await root.customers.UpdateCustomer(
        customer_pb2.UpdateCustomerRequest(customer=customer_pb2.Customer(name=GLOBEX, display_name=text))
    )
    await root.users.UpdateUser(user_pb2.UpdateUserRequest(user=user_pb2.User(name=user, display_name=text)))
    await root.credentials.UpdateCredential(
        credential_pb2.UpdateCredentialRequest(
            credential=credential_pb2.Credential(name=HUB, display_name=text)
        )
    )
    await root.credentials.RotateEncryptionKey(credential_pb2.RotateEncryptionKeyRequest())
    await root.artifacts.UpdateArtifact(
        artifact_pb2.UpdateArtifactRequest(artifact=artifact_pb2.Artifact(name=APP, display_name=text))
    )
    await root.artifacts.SyncArtifact(artifact_pb2.SyncArtifactRequest(name=APP))
    await root.artifacts.SyncArtifacts(artifact_pb2.SyncArtifactsRequest(parent=ACME))
    await until(lambda: _synced(plane))
    await root.entitlements.UpdateEntitlement(
        entitlement_pb2.UpdateEntitlementRequest(
            entitlement=entitlement_pb2.Entitlement(name=TRIAL, display_name=text)
        )
    )


async def _synced(plane: Plane) -> bool:
    jobs = await plane.root.artifacts.ListSyncJobs(artifact_pb2.ListSyncJobsRequest(parent=APP))
    at_work = (artifact_pb2.SyncJob.PENDING, artifact_pb2.SyncJob.RUNNING)
    return all(job.state not in at_work for job in jobs.sync_jobs)


async def _delete(plane: Plane, token: user_pb2.Token, user: str) -> None:
    root = plane.root
    await root.entitlements.DeleteEntitlement(entitlement_pb2.DeleteEntitlementRequest(name=TRIAL))
    await root.users.DeleteToken(user_pb2.DeleteTokenRequest(name=token.name))
    await root.users.DeleteUser(user_pb2.DeleteUserRequest(name=user))
    await root.customers.DeleteCustomer(customer_pb2.DeleteCustomerRequest(name=GLOBEX))
    await root.artifacts.DeleteArtifact(artifact_pb2.DeleteArtifactRequest(name=APP))
    await root.credentials.DeleteCredential(credential_pb2.DeleteCredentialRequest(name=HUB))
    await root.nodes.DeleteNode(node_pb2.DeleteNodeRequest(name="nodes/one"))
    await root.organizations.DeleteOrganization(organization_pb2.DeleteOrganizationRequest(name=ACME))


async def test_every_changing_method_is_told(plane: Plane) -> None:
    """A method of the table that is not called here fails the test, and so does one without an entry."""
    token = await _create(plane)
    user = token.name.partition("/tokens/")[0]
    await _change(plane, user)
    await _delete(plane, token, user)

    request = pb.ListAuditEntriesRequest(parent="organizations/-", page_size=100)
    entries = (await plane.root.audit.ListAuditEntries(request)).audit_entries
    changing = {
        method.rpartition("/")[2]
        for method, row in WHO_MAY.items()
        if row.member not in (Who.NODE, Who.ANYBODY) and audit.is_change(method)
    }
    assert {entry.method for entry in entries} == changing
    (created,) = (entry for entry in entries if entry.method == "CreateToken")
    assert created.resource == token.name

    path = "/api/v1/organizations/-/auditEntries?method=CreateToken"
    headers = {"Authorization": f"Bearer {plane.root_token}"}
    call = functools.partial(http.request, str(plane.running.http), "GET", path, headers=headers)
    (told,) = (await asyncio.to_thread(call)).json()["auditEntries"]
    assert (told["resource"], told["email"]) == (token.name, created.email)
