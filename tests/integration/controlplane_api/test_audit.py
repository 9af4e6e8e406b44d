"""The audit log as administrators read it."""

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.api import audit
from controlplane.api.authorize import WHO_MAY, Who
from controlplane.api.port import SERVICES
from controlplane.model import reseal
from controlplane.model.database import DatabaseUnavailable
from controlplane.sync import jobs, runner
from penstock.v1 import artifact_pb2, credential_pb2, customer_pb2, node_pb2, organization_pb2, user_pb2
from penstock.v1 import audit_pb2 as pb
from tests.servers.control_plane import Plane, refused

ACME = "organizations/acme"
SECRET = "planted-secret-0123456789"


async def _listed(plane: Plane, parent: str = ACME, **filters: str) -> list[pb.AuditEntry]:
    request = pb.ListAuditEntriesRequest(parent=parent, **filters)
    return list((await plane.root.audit.ListAuditEntries(request)).audit_entries)


async def test_a_change_is_told_with_who_when_and_from_where(plane: Plane) -> None:
    """Newest first; what was refused, read or only tried out is not in it."""
    await plane.organization("acme")
    boss, token = await plane.user("acme", "admin")
    me = await plane.client(token)
    create = customer_pb2.CreateCustomerRequest(parent=ACME, customer_id="globex")
    await me.customers.CreateCustomer(create)
    await refused(me.customers.CreateCustomer(create))
    await me.customers.ListCustomers(customer_pb2.ListCustomersRequest(parent=ACME))
    create.customer_id, create.validate_only = "initech", True
    await me.customers.CreateCustomer(create)

    entries = await _listed(plane)
    assert [entry.method for entry in entries] == [
        "CreateCustomer",
        "CreateToken",
        "CreateUser",
        "CreateOrganization",
    ]
    newest = entries[0]
    assert (newest.email, newest.user_uid, newest.address) == (boss.email, boss.uid, "127.0.0.1")
    assert newest.resource == f"{ACME}/customers/globex"
    assert dict(newest.change) == {"parent": ACME, "customer_id": "globex"}
    assert newest.token_uid
    assert newest.HasField("time")
    assert entries[2].resource == f"{ACME}/users/{boss.email}"
    assert entries[3].email == "admin"


async def test_the_log_is_filtered(plane: Plane) -> None:
    """By who, by method, and by a resource with all below it; page by page."""
    await plane.organization("acme")
    boss, token = await plane.user("acme", "admin")
    me = await plane.client(token)
    await me.organizations.UpdateOrganization(
        organization_pb2.UpdateOrganizationRequest(
            organization=organization_pb2.Organization(name=ACME, display_name="new")
        )
    )
    assert [each.method for each in await _listed(plane, email=boss.email)] == ["UpdateOrganization"]
    assert [each.email for each in await _listed(plane, method="CreateUser")] == ["admin"]
    below = await _listed(plane, resource=boss.name)
    assert [each.method for each in below] == ["CreateToken", "CreateUser"]
    assert len(await _listed(plane, resource=ACME)) == 4
    page = await plane.root.audit.ListAuditEntries(pb.ListAuditEntriesRequest(parent=ACME, page_size=3))
    rest = await plane.root.audit.ListAuditEntries(
        pb.ListAuditEntriesRequest(parent=ACME, page_token=page.next_page_token)
    )
    assert [each.method for each in rest.audit_entries] == ["CreateOrganization"]


async def test_a_user_s_entries_are_found_by_either_name(plane: Plane) -> None:
    """By e-mail address and by uid, whichever a request had; so is what is below, and no other's."""
    await plane.organization("acme")
    boss, _ = await plane.user("acme", "admin")
    await plane.user("acme", "read_only")
    (created,) = [each for each in await _listed(plane, resource=boss.name) if each.method == "CreateToken"]
    by_email = f"{ACME}/users/{boss.email}"
    for name in (by_email, boss.name):
        found = await _listed(plane, resource=name)
        assert [each.method for each in found] == ["CreateToken", "CreateUser"], name
    below = created.resource.removeprefix(boss.name)
    for name in (f"{by_email}{below}", f"{boss.name}{below}"):
        assert [each.name for each in await _listed(plane, resource=name)] == [created.name]
    assert await _listed(plane, resource=f"{ACME}/users/nobody@example.com") == []


@pytest.mark.parametrize("by_email", [False, True])
async def test_a_user_s_entries_are_found_by_either_name_afterwards(plane: Plane, by_email: bool) -> None:
    """Whoever asks who deleted somebody knows the address or has a uid, and not which of them was used."""
    await plane.organization("acme")
    boss, _ = await plane.user("acme", "admin")
    names = boss.name, f"{ACME}/users/{boss.email}"
    await plane.root.users.DeleteUser(user_pb2.DeleteUserRequest(name=names[by_email]))
    # Another one with a name that begins alike.
    await plane.user("acme", "read_only", f"{boss.email}.example.com")
    for name in names:
        found = await _listed(plane, resource=name)
        assert [each.method for each in found] == ["DeleteUser", "CreateToken", "CreateUser"], name


async def test_users_that_went_with_their_customer_are_found_by_either_name(plane: Plane) -> None:
    """Nobody named them when they went."""
    await plane.organization("acme")
    customer = f"{ACME}/customers/globex"
    await plane.root.customers.CreateCustomer(
        customer_pb2.CreateCustomerRequest(parent=ACME, customer_id="globex")
    )
    user, _ = await plane.user("acme", "read_only", customer=customer)
    await plane.root.customers.DeleteCustomer(customer_pb2.DeleteCustomerRequest(name=customer, force=True))
    for name in user.name, f"{ACME}/users/{user.email}":
        found = await _listed(plane, resource=name)
        assert [each.method for each in found] == ["CreateToken", "CreateUser"], name


async def test_who_may_read_the_log(plane: Plane) -> None:
    """An organization's administrators theirs, the installation's everything, nodes' admissions included."""
    await plane.organization("acme")
    await plane.organization("other")
    await plane.root.nodes.CreateNode(node_pb2.CreateNodeRequest(node_id="one"))
    me = await plane.member("acme", "admin")
    theirs = await me.audit.ListAuditEntries(pb.ListAuditEntriesRequest(parent=ACME))
    assert {each.resource.split("/")[1] for each in theirs.audit_entries} == {"acme"}
    for parent, reason in (
        ("organizations/other", "ORGANIZATION_UNKNOWN"),
        ("organizations/-", "ROLE_TOO_LOW"),
    ):
        error = await refused(me.audit.ListAuditEntries(pb.ListAuditEntriesRequest(parent=parent)))
        assert error.reason == reason
    methods = {each.method for each in await _listed(plane, "organizations/-")}
    assert {"CreateNode", "CreateOrganization", "CreateUser"} <= methods
    reader = await plane.member("acme", "read_write")
    call = reader.audit.ListAuditEntries(pb.ListAuditEntriesRequest(parent=ACME))
    assert (await refused(call)).reason == "ROLE_TOO_LOW"


async def test_no_secret_is_in_the_log(plane: Plane) -> None:
    """A credential's password and a new token are not in the database's records."""
    await plane.organization("acme")
    _, token = await plane.user("acme", "admin")
    await plane.root.credentials.CreateCredential(
        credential_pb2.CreateCredentialRequest(
            parent=ACME,
            credential_id="hub",
            credential=credential_pb2.Credential(
                basic=credential_pb2.BasicCredential(username="alice", password=SECRET)
            ),
        )
    )
    told = str(await _listed(plane))
    assert "alice" in told
    assert SECRET not in told
    assert token not in told


def _requests() -> Iterable[Descriptor]:
    for service in SERVICES:
        for method, row in WHO_MAY.items():
            if method.startswith(f"/{service}/") and row.member is not Who.NODE and audit.is_change(method):
                name = method.rpartition("/")[2]
                yield _POOL.FindServiceByName(service).methods_by_name[name].input_type


_POOL = credential_pb2.DESCRIPTOR.pool
# Of these, the name says secret, and the content is none.
_HARMLESS = re.compile(r"page_token|.*_hint|secret_update_(time|user)|token|.*token_uid")


def _plant(descriptor: Descriptor, depth: int = 0) -> tuple[object, list[str]]:
    """Make a message with every text of it set; gives the paths of those that sound secret."""
    message = GetMessageClass(descriptor)()
    sounding: list[str] = []
    for field in descriptor.fields:
        if field.is_repeated:
            continue
        if field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, SECRET if audit.is_secret(field) else field.name)
            if re.search("secret|password|token|key", field.name) and not _HARMLESS.fullmatch(field.name):
                sounding += [] if audit.is_secret(field) else [f"{descriptor.name}.{field.name}"]
        elif field.message_type is not None and field.containing_oneof is None and depth < 4:
            below, more = _plant(field.message_type, depth + 1)
            sounding += more
            if field.message_type.file.package.startswith("penstock."):
                getattr(message, field.name).CopyFrom(below)
    for oneof in descriptor.oneofs:
        for field in oneof.fields:
            if field.message_type is not None and field.message_type.file.package.startswith("penstock."):
                below, more = _plant(field.message_type, depth + 1)
                sounding += more
                getattr(message, field.name).CopyFrom(below)
    return message, sounding


@pytest.mark.parametrize("descriptor", sorted(set(_requests()), key=lambda each: each.name))
def test_what_is_input_only_stays_out_of_every_request(descriptor: Descriptor) -> None:
    """Secrets planted into each request are not in its record, and what sounds like one is marked as one."""
    message, sounding = _plant(descriptor)
    assert SECRET not in str(audit.document(message))
    assert [each for each in sounding if not each.endswith("access_key_id")] == []


async def _outcome(plane: Plane, method: str, parent: str = ACME) -> dict[str, object]:
    """What the one entry of a method says of what was done."""
    (entry,) = await _listed(plane, parent, method=method)
    return json_format.MessageToDict(entry.outcome)


async def _five(plane: Plane) -> None:
    await plane.organization("acme")
    for index in range(5):
        await plane.artifact("acme", f"app-{index}")


async def test_many_syncs_are_one_entry_that_says_how_many(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many transactions they take."""
    monkeypatch.setattr(runner, "_BATCH", 2)
    await _five(plane)
    await plane.root.artifacts.SyncArtifacts(artifact_pb2.SyncArtifactsRequest(parent=ACME))
    assert await _outcome(plane, "SyncArtifacts") == {"sync_jobs": 5, "finished": True}
    assert await _outcome(plane, "CreateOrganization") == {}


async def test_syncs_that_break_off_are_told_as_far_as_they_came(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept before the database went is in the log, and that it was not all."""
    monkeypatch.setattr(runner, "_BATCH", 2)
    await _five(plane)
    create, calls = jobs.join_or_create_all, []

    async def fail_at_last(session: AsyncSession, ids: list[int], *args: Any, **kwargs: Any) -> list[Any]:
        calls.append(ids)
        if len(calls) == 3:
            raise DatabaseUnavailable("The database does not answer.")
        return await create(session, ids, *args, **kwargs)

    monkeypatch.setattr(jobs, "join_or_create_all", fail_at_last)
    await refused(plane.root.artifacts.SyncArtifacts(artifact_pb2.SyncArtifactsRequest(parent=ACME)))
    assert await _outcome(plane, "SyncArtifacts") == {"sync_jobs": 4, "finished": False}


async def test_a_rotation_tells_how_many_secrets_it_sealed(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All; or those before one that cannot be read, with the reason: the new key is there either way."""
    monkeypatch.setattr(reseal, "_BATCH", 1)
    await plane.organization("acme")
    for name in ("a", "b", "c"):
        basic = credential_pb2.BasicCredential(username="alice", password=SECRET)
        await plane.root.credentials.CreateCredential(
            credential_pb2.CreateCredentialRequest(
                parent=ACME, credential_id=name, credential=credential_pb2.Credential(basic=basic)
            )
        )
    rotate = credential_pb2.RotateEncryptionKeyRequest()
    await plane.root.credentials.RotateEncryptionKey(rotate)
    everywhere = "organizations/-"
    assert await _outcome(plane, "RotateEncryptionKey", everywhere) == {
        "secrets_reencrypted": 3,
        "finished": True,
    }
    with closing(sqlite3.connect(plane.data / "controlplane.db")) as database, database:
        database.execute("UPDATE credential SET secret = 'broken' WHERE slug = 'c'")
        database.execute("DELETE FROM audit_record")
    await refused(plane.root.credentials.RotateEncryptionKey(rotate))
    assert await _outcome(plane, "RotateEncryptionKey", everywhere) == {
        "secrets_reencrypted": 2,
        "finished": False,
        "failure": "SECRET_NOT_READABLE",
    }
