"""Who may call which method: one table, and the check against it.

What somebody may see of another organization is not decided here but where it is looked up: it
does not exist for them (see `controlplane.api.find`).
"""

from collections.abc import Mapping
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


_METHODS: Final[Mapping[str, Mapping[str, Who]]] = {
    "penstock.v1.OrganizationService": {
        "GetOrganization": Who.READER,
        "ListOrganizations": Who.READER,
        "CreateOrganization": Who.INSTALLATION,
        "UpdateOrganization": Who.ADMIN,
        "DeleteOrganization": Who.INSTALLATION,
    },
    "penstock.v1.UserService": {
        "GetUser": Who.READER,
        "ListUsers": Who.READER,
        "CreateUser": Who.ADMIN,
        "UpdateUser": Who.ADMIN,
        "DeleteUser": Who.ADMIN,
        # Without ADMIN, one's own only.
        "GetToken": Who.READER,
        "ListTokens": Who.READER,
        "CreateToken": Who.ADMIN,
        "DeleteToken": Who.ADMIN,
    },
    "penstock.v1.CredentialService": {
        # Who may create artifacts uses credentials, and never sees a secret.
        "GetCredential": Who.WRITER,
        "ListCredentials": Who.WRITER,
        "CreateCredential": Who.ADMIN,
        "UpdateCredential": Who.ADMIN,
        "DeleteCredential": Who.ADMIN,
        "RotateEncryptionKey": Who.INSTALLATION,
    },
    "penstock.v1.ArtifactService": {
        "GetArtifact": Who.READER,
        "ListArtifacts": Who.READER,
        "CreateArtifact": Who.WRITER,
        "UpdateArtifact": Who.WRITER,
        "DeleteArtifact": Who.WRITER,
        "SyncArtifact": Who.WRITER,
        "SyncArtifacts": Who.WRITER,
        "GetTag": Who.READER,
        "ListTags": Who.READER,
        "ListTagRevisions": Who.READER,
        "GetSyncJob": Who.READER,
        "ListSyncJobs": Who.READER,
        "WatchSyncJob": Who.READER,
    },
    "penstock.v1.PullService": {
        "ListPulls": Who.READER,
        "SumPulls": Who.READER,
        "ListVersionHolders": Who.READER,
        "ExportPulls": Who.READER,
    },
    "penstock.v1.NodeService": {
        "GetNode": Who.INSTALLATION,
        "ListNodes": Who.INSTALLATION,
        "CreateNode": Who.INSTALLATION,
        "DeleteNode": Who.INSTALLATION,
        "WatchConfig": Who.NODE,
        "ReportStatus": Who.NODE,
        "ResolveReference": Who.NODE,
        "ResolveBlob": Who.NODE,
        "StreamTags": Who.NODE,
        "ListReferrers": Who.NODE,
        "RecordPulls": Who.NODE,
        "ReportUse": Who.NODE,
        "GetUpstreamAccess": Who.NODE,
    },
    "grpc.health.v1.Health": {"Check": Who.ANYBODY, "List": Who.ANYBODY, "Watch": Who.ANYBODY},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": Who.ANYBODY},
}

WHO_MAY: Final[Mapping[str, Who]] = {
    f"/{service}/{method}": who for service, methods in _METHODS.items() for method, who in methods.items()
}
"""By the method's path, `/penstock.v1.ArtifactService/GetArtifact`."""


def authorize(method: str, caller: Caller) -> None:
    """Raise ApiError PERMISSION_DENIED unless this caller may call the method at all."""
    who = WHO_MAY.get(method)
    if who is None:
        raise _refusal(method, "nobody: it has no rule", caller)
    if who is Who.ANYBODY:
        return
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
