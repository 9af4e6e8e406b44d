"""Who may call which method: one table, and the check against it.

What somebody may see of another organization is not decided here but where it is looked up: it
does not exist for them (see `controlplane.api.find`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from controlplane.api.caller import Caller
from controlplane.api.errors import ApiError, denied
from controlplane.model.roles import Role


class Who(Enum):
    """The least that a caller must be."""

    ANYBODY = "anybody"
    """Also without a token: what tells nothing of what is kept."""
    READER = Role.READ_ONLY
    WRITER = Role.READ_WRITE
    ADMIN = Role.ADMIN
    INSTALLATION = "an administrator of the installation"
    NODE = "a node"


@dataclass(frozen=True, slots=True)
class Row:
    """Who may call a method: members of the organization, and users of its customers if any of them."""

    member: Who
    customer: Who | None = None


_READER, _WRITER, _ADMIN = Row(Who.READER), Row(Who.WRITER), Row(Who.ADMIN)
_INSTALLATION, _NODE, _ANYBODY = Row(Who.INSTALLATION), Row(Who.NODE), Row(Who.ANYBODY)
# What users of a customer may do is cut down to what is that customer's where it is looked up.
_READER_THERE, _ADMIN_THERE = Row(Who.READER, Who.READER), Row(Who.ADMIN, Who.ADMIN)

_METHODS: Final[Mapping[str, Mapping[str, Row]]] = {
    "penstock.v1.OrganizationService": {
        "GetOrganization": _READER,
        "ListOrganizations": _READER,
        "CreateOrganization": _INSTALLATION,
        "UpdateOrganization": _ADMIN,
        "DeleteOrganization": _INSTALLATION,
    },
    "penstock.v1.CustomerService": {
        "GetCustomer": _READER_THERE,
        "ListCustomers": _READER_THERE,
        "CreateCustomer": _ADMIN,
        "UpdateCustomer": _ADMIN,
        "DeleteCustomer": _ADMIN,
    },
    "penstock.v1.UserService": {
        "GetUser": _READER_THERE,
        "ListUsers": _READER_THERE,
        "CreateUser": _ADMIN_THERE,
        "UpdateUser": _ADMIN_THERE,
        "DeleteUser": _ADMIN_THERE,
        # Without ADMIN, one's own only.
        "GetToken": _READER_THERE,
        "ListTokens": _READER_THERE,
        "CreateToken": _ADMIN_THERE,
        "DeleteToken": _ADMIN_THERE,
    },
    "penstock.v1.EntitlementService": {
        "GetEntitlement": _READER_THERE,
        "ListEntitlements": _READER_THERE,
        "CreateEntitlement": _ADMIN,
        "UpdateEntitlement": _ADMIN,
        "DeleteEntitlement": _ADMIN,
        # Support staff is seldom an administrator; of a token it tells only what a pull with it meets.
        "ExplainPull": _READER,
    },
    "penstock.v1.AuditService": {"ListAuditEntries": _ADMIN, "ListRefusedSignIns": _ADMIN},
    "penstock.v1.CredentialService": {
        # Who may create artifacts uses credentials, and never sees a secret.
        "GetCredential": _WRITER,
        "ListCredentials": _WRITER,
        "CreateCredential": _ADMIN,
        "UpdateCredential": _ADMIN,
        "DeleteCredential": _ADMIN,
        "RotateEncryptionKey": _INSTALLATION,
    },
    # Not for customers: artifacts tell of upstreams.
    "penstock.v1.ArtifactService": {
        "GetArtifact": _READER,
        "ListArtifacts": _READER,
        "CreateArtifact": _WRITER,
        "UpdateArtifact": _WRITER,
        "DeleteArtifact": _WRITER,
        "SyncArtifact": _WRITER,
        "SyncArtifacts": _WRITER,
        "GetTag": _READER,
        "ListTags": _READER,
        "ListTagRevisions": _READER,
        "GetSyncJob": _READER,
        "ListSyncJobs": _READER,
        "WatchSyncJob": _READER,
    },
    "penstock.v1.PullService": {
        "ListPulls": _READER_THERE,
        "SumPulls": _READER_THERE,
        # Of the customer as a whole.
        "ListVersionHolders": Row(Who.READER, Who.ADMIN),
        "ExportPulls": _READER_THERE,
    },
    "penstock.v1.NodeService": {
        "GetNode": _INSTALLATION,
        "ListNodes": _INSTALLATION,
        "CreateNode": _INSTALLATION,
        "DeleteNode": _INSTALLATION,
        "WatchConfig": _NODE,
        "ReportStatus": _NODE,
        "ResolveReference": _NODE,
        "ResolveBlob": _NODE,
        "StreamTags": _NODE,
        "ListReferrers": _NODE,
        "RecordPulls": _NODE,
        "ReportUse": _NODE,
        "GetUpstreamAccess": _NODE,
    },
    "grpc.health.v1.Health": {"Check": _ANYBODY, "List": _ANYBODY, "Watch": _ANYBODY},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": _ANYBODY},
}

WHO_MAY: Final[Mapping[str, Row]] = {
    f"/{service}/{method}": row for service, methods in _METHODS.items() for method, row in methods.items()
}
"""By the method's path, `/penstock.v1.ArtifactService/GetArtifact`."""


def authorize(method: str, caller: Caller) -> None:
    """Raise ApiError PERMISSION_DENIED unless this caller may call the method at all."""
    row = WHO_MAY.get(method)
    if row is None:
        raise _refusal(method, "nobody: it has no rule", caller)
    if row.member is Who.ANYBODY:
        return
    who = row.customer if caller.of_customer else row.member
    if who is None:
        raise denied(
            "NOT_FOR_CUSTOMERS",
            f"{method.rpartition('/')[2]} is for users of the organization, and this token is a customer's.",
            method=method.rpartition("/")[2],
        )
    if caller.is_node or who is Who.NODE:
        if not (caller.is_node and who is Who.NODE):
            raise _refusal(method, str(who.value), caller)
        return
    least = Role.ADMIN if who is Who.INSTALLATION else Role(who.value)
    if caller.role is None or caller.role < least:
        raise _refusal(method, f"the role {least}", caller)
    if who is Who.INSTALLATION and not caller.of_installation:
        raise _refusal(method, str(who.value), caller)


def _refusal(method: str, needed: str, caller: Caller) -> ApiError:
    name = method.rpartition("/")[2]
    has = "a node's" if caller.is_node else f"a user's with the role {caller.role}"
    return denied("ROLE_TOO_LOW", f"{name} is for {needed}, and this token is {has}.", method=name)
