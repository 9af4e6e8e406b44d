"""Options of commands for artifacts of private upstreams."""

from pathlib import Path
from typing import Annotated

import typer

from clients.cli.failure import Failure
from clients.control import names
from clients.process.exits import Exit

_LONGEST = 256 * 1024

CredentialOption = Annotated[
    str | None,
    typer.Option(
        "--credential",
        help="Credential of the organization that the upstream is shown, like hub; '' for none.",
        show_default=False,
    ),
]
CertificatesOption = Annotated[
    str | None,
    typer.Option(
        "--ca-certificates",
        metavar="FILE",
        help="PEM certificates that the upstream's is verified with, in place of the system's; '' for these.",
        show_default=False,
    ),
]


def credential_name(organization: str, text: str) -> str:
    """Give the name of a credential of an organization, by its id; raises InvalidName."""
    if not text:
        return ""
    return names.credential(text if "/" in text else f"{organization}/{text}")


def read_certificates(file: str) -> str:
    """Read a file of certificates; raises Failure where that cannot be read."""
    if not file:
        return ""
    try:
        with Path(file).open(encoding="utf-8") as opened:
            text = opened.read(_LONGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Failure(f"--ca-certificates: {file} cannot be read ({reason}).", Exit.USAGE) from error
    if len(text) > _LONGEST:
        raise Failure(f"--ca-certificates: {file} is too long for a few certificates.", Exit.USAGE)
    return text
