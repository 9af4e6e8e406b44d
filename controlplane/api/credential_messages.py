"""Credentials as the API shows them, and reads them; secrets come in, and never go out."""

import re
from collections.abc import Collection, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from google.protobuf.field_mask_pb2 import FieldMask
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.address import is_public, parse_address
from clients.oci.credential import Basic
from controlplane.api.etags import etag
from controlplane.api.google_key import is_google, read_google_key
from controlplane.api.timestamps import timestamp
from controlplane.api.validation import Violations
from controlplane.model.artifact_tables import Artifact
from controlplane.model.naming import CredentialName
from controlplane.model.saved import saved_id
from controlplane.model.upstream_tables import Credential, CredentialKind
from controlplane.upstream.opened import AwsKey
from penstock.v1 import credential_pb2 as pb

_LONGEST_NAME: Final = 255
_LONGEST_SECRET: Final = 16 * 1024
_ACCESS_KEY_ID: Final = re.compile(r"[A-Z0-9]{16,128}", re.ASCII)
_ROLE_ARN: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
_EXTERNAL_ID: Final = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)


def credential_etag(row: Credential) -> str:
    """Give the etag of a credential; what upstreams said of it leaves it as it is."""
    return etag(row.uid, row.display_name, row.secret_update_time, row.update_time)


def credential_message(slug: str, row: Credential, artifacts: int = 0) -> pb.Credential:
    """Render a credential of the organization with this id."""
    message = pb.Credential(
        name=str(CredentialName(slug, row.slug)),
        uid=row.uid,
        display_name=row.display_name,
        create_time=timestamp(row.create_time),
        update_time=timestamp(row.update_time),
        etag=credential_etag(row),
        secret_update_time=timestamp(row.secret_update_time),
        secret_update_user=row.secret_update_user,
        last_success_time=timestamp(row.last_success_time),
        last_error=row.last_error,
        last_error_time=timestamp(row.last_error_time),
        artifact_count=artifacts,
    )
    if row.kind == CredentialKind.BASIC:
        message.basic.username, message.basic.password_hint = row.username, row.secret_hint
    else:
        message.aws_ecr.access_key_id = row.username
        message.aws_ecr.secret_access_key_hint = row.secret_hint
        message.aws_ecr.role_arn, message.aws_ecr.external_id = row.role_arn, row.external_id
        message.aws_ecr.endpoint = row.endpoint
    return message


async def artifact_counts(session: AsyncSession, rows: Sequence[Credential]) -> dict[int | None, int]:
    """Count the artifacts that use each credential."""
    found = await session.exec(
        select(Artifact.credential_id, func.count())
        .where(col(Artifact.credential_id).in_([saved_id(row) for row in rows]))
        .group_by(col(Artifact.credential_id))
    )
    return dict(found.all())


def whole(given: pb.Credential, fields: Collection[str], shown: pb.Credential) -> pb.Credential:
    """Put what `fields` name of a type's parts, like `basic.password`, into what is `shown` of a credential.

    Secrets are not shown: those that are not named stay empty, which leaves them as they are.
    """
    parts = [field for field in fields if "." in field]
    if not parts or given.WhichOneof("type") != shown.WhichOneof("type"):
        return given
    merged = pb.Credential()
    merged.CopyFrom(shown)
    FieldMask(paths=parts).MergeMessage(given, merged)
    return merged


def new_content(given: pb.Credential, violations: Violations, *, allow_private: bool) -> Basic | AwsKey:
    """Read what a new credential is to show."""
    if not given.HasField("type"):
        violations.add("credential", "must have a type: give `basic` or `aws_ecr`.")
    return changed_content(given, None, violations, allow_private=allow_private)


def changed_content(
    given: pb.Credential, before: Basic | AwsKey | None, violations: Violations, *, allow_private: bool
) -> Basic | AwsKey:
    """Read what a credential is to show; a user name, key or secret that is not given stays as it was."""
    if given.WhichOneof("type") == "aws_ecr":
        old_key = before if isinstance(before, AwsKey) else None
        return _aws_key(given.aws_ecr, old_key, violations, allow_private=allow_private)
    old = before if isinstance(before, Basic) else None
    return _basic(given.basic, old, violations)


def _basic(given: pb.BasicCredential, before: Basic | None, violations: Violations) -> Basic:
    username = given.username or (before.username if before else "")
    password = given.password or (before.password if before else "")
    if not username or len(username) > _LONGEST_NAME or ":" in username or not username.isprintable():
        violations.add(
            "credential.basic.username",
            f"must be 1 to {_LONGEST_NAME} characters without a colon, like alice.",
        )
        username = ""
    where = "credential.basic.password"
    # Also what was kept, where the user name is another one now.
    if is_google(username) and 0 < len(password) <= _LONGEST_SECRET:
        password = violations.check(where, partial(read_google_key, username), password)
    else:
        _check_secret(where, password, violations)
    return Basic(username, password)


def _aws_key(
    given: pb.AwsEcrCredential, before: AwsKey | None, violations: Violations, *, allow_private: bool
) -> AwsKey:
    where = "credential.aws_ecr"
    key_id = given.access_key_id or (before.access_key_id if before else "")
    secret, session_token = given.secret_access_key, given.session_token
    if not _ACCESS_KEY_ID.fullmatch(key_id):
        violations.add(
            f"{where}.access_key_id", "must be the id of an access key, like AKIAIOSFODNN7EXAMPLE."
        )
    if before is not None and not secret and not session_token:
        if key_id != before.access_key_id:
            violations.add(f"{where}.secret_access_key", "must be given with another access key id.")
        secret, session_token = before.secret_access_key, before.session_token
    _check_secret(f"{where}.secret_access_key", secret, violations)
    if session_token:
        _check_secret(f"{where}.session_token", session_token, violations)
    if given.role_arn and not _ROLE_ARN.fullmatch(given.role_arn):
        violations.add(f"{where}.role_arn", "must be a role, like arn:aws:iam::123456789012:role/puller.")
    if given.external_id and not _EXTERNAL_ID.fullmatch(given.external_id):
        violations.add(f"{where}.external_id", "must be 2 to 1224 of letters, digits and +=,.@:/-_.")
    if given.external_id and not given.role_arn:
        violations.add(f"{where}.external_id", "is for a role: give role_arn with it.")
    _check_endpoint(f"{where}.endpoint", given.endpoint, violations, allow_private=allow_private)
    return AwsKey(key_id, secret, session_token, given.role_arn, given.external_id, given.endpoint)


def _check_secret(field: str, secret: str, violations: Violations) -> None:
    if secret.rstrip("\r\n") != secret:
        violations.add(field, "ends with a line break, as a file does: leave that away.")
    elif not secret or len(secret) > _LONGEST_SECRET or not secret.isprintable():
        violations.add(field, f"must be 1 to {_LONGEST_SECRET} characters, none of them a control character.")


def _check_endpoint(field: str, text: str, violations: Violations, *, allow_private: bool) -> None:
    if not text:
        return
    example = "like https://vpce-0123.api.ecr.eu-west-1.vpce.amazonaws.com."
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        host = None
    if not host or url.scheme not in ("http", "https") or url.username or url.query or url.fragment:
        violations.add(field, f"must be the URL of an ECR API, without user name or query, {example}")
        return
    address = parse_address(host)
    private = host == "localhost" or (address is not None and not is_public(address))
    if (private or url.scheme == "http") and not allow_private:
        violations.add(
            field,
            "must be at https, and at no private address, unless PENSTOCK_ALLOW_PRIVATE_UPSTREAMS is true,"
            f" {example}",
        )
