"""A credential as it is used, with its secrets open: in memory, and nowhere else."""

from dataclasses import dataclass, field
from datetime import UTC
from typing import Final

from clients.oci.credential import Basic
from controlplane.model.keys import Keys
from controlplane.model.saved import saved_id
from controlplane.model.upstream_tables import Credential, CredentialKind

# A hint would give too much of a shorter secret away.
_HINTED: Final = 12
_HINT: Final = 4


@dataclass(frozen=True, slots=True)
class AwsKey:
    """An access key of AWS, and how an ECR token is got with it; empty is what is not given."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    role_arn: str = ""
    external_id: str = ""
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class OpenCredential:
    """A stored credential; `version` is another one after each change of what upstreams are shown."""

    id: int
    uid: str
    version: str
    content: Basic | AwsKey


def secret_place(uid: str, column: str) -> str:
    """Name the place that a secret of a credential is sealed for."""
    return f"credential/{uid}/{column}"


def version_of(row: Credential) -> str:
    """Give what changes whenever a credential's secret does."""
    return row.secret_update_time.astimezone(UTC).isoformat()


def opened(row: Credential, keys: Keys) -> OpenCredential:
    """Open the secrets of a row; raises SealBroken."""
    secret = keys.open(row.secret, secret_place(row.uid, "secret"))
    content: Basic | AwsKey
    if row.kind == CredentialKind.BASIC:
        content = Basic(row.username, secret)
    else:
        session_token = row.session_token and keys.open(
            row.session_token, secret_place(row.uid, "session_token")
        )
        content = AwsKey(row.username, secret, session_token, row.role_arn, row.external_id, row.endpoint)
    return OpenCredential(saved_id(row), row.uid, version_of(row), content)


def close(row: Credential, content: Basic | AwsKey, keys: Keys) -> None:
    """Write a content into a row, its secrets sealed."""
    if isinstance(content, Basic):
        row.kind, row.username, secret, session_token = (
            CredentialKind.BASIC,
            content.username,
            content.password,
            "",
        )
    else:
        row.kind, row.username = CredentialKind.AWS_ECR, content.access_key_id
        secret, session_token = content.secret_access_key, content.session_token
        row.role_arn, row.external_id, row.endpoint = content.role_arn, content.external_id, content.endpoint
    row.secret = keys.seal(secret, secret_place(row.uid, "secret"))
    row.session_token = session_token and keys.seal(session_token, secret_place(row.uid, "session_token"))
    row.secret_hint = secret[-_HINT:] if len(secret) >= _HINTED else ""
