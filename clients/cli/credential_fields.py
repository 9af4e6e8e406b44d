"""Credentials as the command shows them."""

from enum import StrEnum

from clients.cli.output import Field, moment
from clients.control import names
from penstock.v1.credential_pb2 import Credential, RotateEncryptionKeyResponse


class Type(StrEnum):
    """What `--type` takes."""

    BASIC = "basic"
    AWS_ECR = "aws_ecr"


def _kind(it: Credential) -> str:
    return it.WhichOneof("type") or ""


def _user(it: Credential) -> str:
    return it.basic.username if _kind(it) == Type.BASIC else it.aws_ecr.access_key_id


def _hint(it: Credential) -> str:
    hint = it.basic.password_hint if _kind(it) == Type.BASIC else it.aws_ecr.secret_access_key_hint
    return f"...{hint}" if hint else "set"


FIELDS: tuple[Field[Credential], ...] = (
    Field("credential", lambda it: names.last(it.name)),
    Field("type", _kind),
    Field("user", _user),
    Field("secret", _hint),
    Field("display name", lambda it: it.display_name, listed=False),
    Field("role", lambda it: it.aws_ecr.role_arn, listed=False),
    Field("external id", lambda it: it.aws_ecr.external_id, listed=False),
    Field("endpoint", lambda it: it.aws_ecr.endpoint, listed=False),
    Field("artifacts", lambda it: str(it.artifact_count)),
    Field("last worked at", lambda it: moment(it, "last_success_time")),
    Field("last error", lambda it: it.last_error),
    Field("last error at", lambda it: moment(it, "last_error_time"), listed=False),
    Field("secret changed", lambda it: moment(it, "secret_update_time"), listed=False),
    Field("changed by", lambda it: it.secret_update_user, listed=False),
    Field("created", lambda it: moment(it, "create_time"), listed=False),
)
KEY_FIELDS: tuple[Field[RotateEncryptionKeyResponse], ...] = (
    Field("secrets encrypted anew", lambda it: str(it.secrets_reencrypted)),
)
