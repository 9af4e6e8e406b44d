"""A certificate for 127.0.0.1, and what a client needs to trust it."""

import shutil
import ssl
from dataclasses import dataclass
from pathlib import Path

from tests.servers.command import run


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate with its key, both PEM files."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """The context of clients, which trust only this certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))


def self_signed(directory: Path) -> Certificate | None:
    """Makes a certificate, P-256 as most servers have; None where there is no openssl command."""
    if shutil.which("openssl") is None:
        return None
    made = Certificate(directory / "certificate.pem", directory / "key.pem")
    run(
        *("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"),
        *("-out", made.certificate, "-keyout", made.key),
    )
    return made
