"""`penstock credentials`."""

from collections.abc import Mapping
from typing import Annotated

import typer

from clients.cli.command import application, command
from clients.cli.credential_fields import FIELDS, KEY_FIELDS, Type
from clients.cli.credential_options import (
    CredentialArgument,
    DisplayNameOption,
    EndpointOption,
    ExternalIdOption,
    KeyIdOption,
    PasswordOption,
    RoleOption,
    SecretKeyOption,
    SessionTokenOption,
    SkipOption,
    UsernameOption,
    ValidateOption,
)
from clients.cli.failure import Failure
from clients.cli.output import show, show_deleted, show_list
from clients.cli.secret import read_secret_line
from clients.cli.session import Session
from clients.control import names
from clients.control.client import ControlClient
from clients.control.errors import translated
from clients.control.paging import iterate
from clients.process.exits import Exit
from penstock.v1.credential_pb2 import (
    AwsEcrCredential,
    BasicCredential,
    CreateCredentialRequest,
    Credential,
    DeleteCredentialRequest,
    GetCredentialRequest,
    ListCredentialsRequest,
    RotateEncryptionKeyRequest,
    UpdateCredentialRequest,
)

app = application("credentials", "What private upstreams are shown.")


# Upstreams are asked before the answer, and may be slow.
_CHECK_TIMEOUT = 120.0


@command(
    app,
    "create",
    "penstock credentials create acme/hub --type basic --username alice --password-stdin",
    "penstock credentials create acme/ecr --type aws_ecr --access-key-id AKIA... --secret-access-key-stdin",
)
async def create(
    session: Session,
    credential: CredentialArgument,
    kind: Annotated[Type, typer.Option("--type", help="What the upstream takes.", show_default=False)],
    username: UsernameOption = None,
    password_stdin: PasswordOption = False,
    access_key_id: KeyIdOption = None,
    secret_access_key_stdin: SecretKeyOption = False,
    session_token_stdin: SessionTokenOption = False,
    role_arn: RoleOption = None,
    external_id: ExternalIdOption = None,
    endpoint: EndpointOption = None,
    display_name: DisplayNameOption = None,
    skip_upstream_check: SkipOption = False,
    validate_only: ValidateOption = False,
) -> None:
    """Save a credential for private upstreams.

    Its secret is asked for where it does not come from standard input, and is never shown again. An access
    key is tried with AWS; a password is tried when an artifact uses it.
    """
    parent, identifier = names.credential_parts(credential)
    made = Credential(display_name=display_name or "")
    if kind is Type.BASIC:
        _refuse_others(
            kind,
            {
                "--access-key-id": access_key_id,
                "--secret-access-key-stdin": secret_access_key_stdin,
                "--session-token-stdin": session_token_stdin,
                "--role-arn": role_arn,
                "--external-id": external_id,
                "--endpoint": endpoint,
            },
        )
        made.basic.username = _needed(username, "--username")
        made.basic.password = read_secret_line("Password", stdin=password_stdin)
    else:
        _refuse_others(kind, {"--username": username, "--password-stdin": password_stdin})
        made.aws_ecr.access_key_id = _needed(access_key_id, "--access-key-id")
        _read_key(made.aws_ecr, secret_access_key_stdin, session_token_stdin)
        made.aws_ecr.role_arn, made.aws_ecr.external_id = role_arn or "", external_id or ""
        made.aws_ecr.endpoint = endpoint or ""
    request = CreateCredentialRequest(
        parent=parent,
        credential=made,
        credential_id=identifier,
        validate_only=validate_only,
        skip_upstream_check=skip_upstream_check,
    )
    async with session.control() as control:
        with translated():
            created = await control.credentials.CreateCredential(request, timeout=_CHECK_TIMEOUT)
    show(created, FIELDS, session.output)


@command(app, "get", "penstock credentials get acme/hub")
async def get(session: Session, credential: CredentialArgument) -> None:
    """Show a credential without its secret, and when it last worked."""
    name = names.credential(credential)
    async with session.control() as control:
        found = await _get(control, name)
    show(found, FIELDS, session.output)


@command(app, "list", "penstock credentials list acme", "penstock credentials list acme --output json")
async def list_all(
    session: Session,
    organization: Annotated[
        str,
        typer.Argument(metavar="ORGANIZATION", help="The organization's id, like acme.", show_default=False),
    ],
) -> None:
    """List the credentials of an organization."""
    request = ListCredentialsRequest(parent=names.organization(organization))
    async with session.control() as control:
        await show_list(
            iterate(control.credentials.ListCredentials, request, lambda page: page.credentials),
            FIELDS,
            session.output,
        )


@command(
    app,
    "update",
    "penstock credentials update acme/hub --password-stdin",
    "penstock credentials update acme/ecr --access-key-id AKIA... --secret-access-key-stdin",
)
async def update(
    session: Session,
    credential: CredentialArgument,
    username: UsernameOption = None,
    password_stdin: PasswordOption = False,
    access_key_id: KeyIdOption = None,
    secret_access_key_stdin: SecretKeyOption = False,
    session_token_stdin: SessionTokenOption = False,
    role_arn: RoleOption = None,
    external_id: ExternalIdOption = None,
    endpoint: EndpointOption = None,
    display_name: DisplayNameOption = None,
    skip_upstream_check: SkipOption = False,
    validate_only: ValidateOption = False,
) -> None:
    """Change a credential: this is how a password or key is rotated.

    Every artifact that uses it is tried with the new one first; if one fails, the old one stays in force.
    """
    if session_token_stdin and not secret_access_key_stdin:
        raise Failure(
            "A session token belongs to the key that it came with: give --secret-access-key-stdin as well.",
            Exit.USAGE,
        )
    basic = BasicCredential(username=username or "")
    if password_stdin:
        basic.password = read_secret_line("Password", stdin=True)
    key = {
        "access_key_id": access_key_id,
        "role_arn": role_arn,
        "external_id": external_id,
        "endpoint": endpoint,
    }
    wants_basic = username is not None or password_stdin
    wants_key = secret_access_key_stdin or any(value is not None for value in key.values())
    if not (wants_basic or wants_key or display_name is not None):
        raise Failure(
            "There is nothing to change: give --password-stdin, --secret-access-key-stdin or another option.",
            Exit.USAGE,
        )
    if wants_basic and wants_key:
        raise Failure("A credential is either basic or aws_ecr: give options of one type.", Exit.USAGE)
    request = UpdateCredentialRequest(validate_only=validate_only, skip_upstream_check=skip_upstream_check)
    request.credential.name = names.credential(credential)
    if display_name is not None:
        request.credential.display_name = display_name
        request.update_mask.paths.append("display_name")
    async with session.control() as control:
        if wants_basic:
            request.credential.basic.CopyFrom(basic)
            request.update_mask.paths.append("basic")
        if wants_key:
            # What is not given stays as it is.
            before = (await _get(control, request.credential.name)).aws_ecr
            for field, value in key.items():
                setattr(request.credential.aws_ecr, field, getattr(before, field) if value is None else value)
            if secret_access_key_stdin:
                _read_key(request.credential.aws_ecr, secret_access_key_stdin, session_token_stdin)
            request.update_mask.paths.append("aws_ecr")
        with translated():
            updated = await control.credentials.UpdateCredential(request, timeout=_CHECK_TIMEOUT)
    show(updated, FIELDS, session.output)


@command(app, "delete", "penstock credentials delete acme/hub")
async def delete(session: Session, credential: CredentialArgument) -> None:
    """Delete a credential that no artifact uses."""
    name = names.credential(credential)
    async with session.control() as control:
        with translated():
            await control.credentials.DeleteCredential(DeleteCredentialRequest(name=name))
    show_deleted(credential, session.output)


@command(app, "rotate-key", "penstock credentials rotate-key")
async def rotate_key(session: Session) -> None:
    """Encrypt every stored secret with a new key, while everything goes on."""
    async with session.control() as control:
        with translated():
            answer = await control.credentials.RotateEncryptionKey(
                RotateEncryptionKeyRequest(), timeout=_CHECK_TIMEOUT
            )
    show(answer, KEY_FIELDS, session.output)


async def _get(control: ControlClient, name: str) -> Credential:
    with translated():
        return await control.credentials.GetCredential(GetCredentialRequest(name=name))


def _read_key(key: AwsEcrCredential, secret_stdin: bool, token_stdin: bool) -> None:
    key.secret_access_key = read_secret_line("Secret access key", stdin=secret_stdin, last=not token_stdin)
    if token_stdin:
        key.session_token = read_secret_line("Session token", stdin=True)


def _needed(value: str | None, option: str) -> str:
    if not value:
        raise Failure(f"A credential of this type needs {option}.", Exit.USAGE)
    return value


def _refuse_others(kind: Type, options: Mapping[str, str | bool | None]) -> None:
    given = [option for option, value in options.items() if value not in (None, False)]
    if given:
        raise Failure(f"{', '.join(given)}: not for a credential of type {kind.value}.", Exit.USAGE)
