"""The certificate that the registry's port shows."""

import ssl
from pathlib import Path

from clients.process.exits import ConfigurationError


def server_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Make what encrypts a server's connections; None where neither file is named.

    `certificate` is a PEM file with the certificate first and then those that signed it; `key` is in a file
    of its own, or in that one. Raises ConfigurationError, naming the setting.
    """
    if certificate is None:
        if key is not None:
            raise ConfigurationError("PENSTOCK_TLS_KEY is set without PENSTOCK_TLS_CERTIFICATE: set both.")
        return None
    for path, setting in ((certificate, "PENSTOCK_TLS_CERTIFICATE"), (key, "PENSTOCK_TLS_KEY")):
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{setting} ({path}) cannot be read: {error.strerror}.") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(
            f"PENSTOCK_TLS_CERTIFICATE ({certificate}) and PENSTOCK_TLS_KEY ({key}) are not a certificate and"
            " its key, both in PEM and without a password."
        ) from error
    return context


def _no_password() -> str:
    # Otherwise OpenSSL asks at the terminal, which nobody may be looking at.
    raise ValueError("the key is encrypted")
