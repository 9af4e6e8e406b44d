"""Options of the commands for credentials."""

from typing import Annotated

import typer

CredentialArgument = Annotated[
    str,
    typer.Argument(
        metavar="CREDENTIAL", help="Organization and id of the credential, like acme/hub.", show_default=False
    ),
]
UsernameOption = Annotated[
    str | None, typer.Option("--username", help="User name (basic).", show_default=False)
]
PasswordOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input (basic).")
]
KeyIdOption = Annotated[
    str | None, typer.Option("--access-key-id", help="Id of the access key (aws_ecr).", show_default=False)
]
SecretKeyOption = Annotated[
    bool,
    typer.Option(
        "--secret-access-key-stdin", help="Read the secret access key from standard input (aws_ecr)."
    ),
]
SessionTokenOption = Annotated[
    bool,
    typer.Option(
        "--session-token-stdin",
        help="Read the session token of a temporary key from standard input, on the line after the secret.",
    ),
]
RoleOption = Annotated[
    str | None,
    typer.Option(
        "--role-arn",
        help="Role to assume, like arn:aws:iam::123456789012:role/puller (aws_ecr).",
        show_default=False,
    ),
]
ExternalIdOption = Annotated[
    str | None,
    typer.Option(
        "--external-id", help="What the role's trust policy asks for (aws_ecr).", show_default=False
    ),
]
EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint", help="URL of the ECR API in place of AWS' own (aws_ecr).", show_default=False),
]
DisplayNameOption = Annotated[
    str | None, typer.Option("--display-name", help="A name for people.", show_default=False)
]
SkipOption = Annotated[
    bool, typer.Option("--skip-upstream-check", help="Do not try it with the upstreams first.")
]
ValidateOption = Annotated[bool, typer.Option("--validate-only", help="Try it, and save nothing.")]
