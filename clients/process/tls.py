"""Certificates and their keys, in the PEM files that settings name."""

import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from clients.process.exits import ConfigurationError
from clients.process.replaced import Replaced

_OF_GRPC: Final = frozenset({"RSA", "secp256r1", "secp384r1"})
"""Kinds of keys that gRPC's TLS signs with."""

_LONGEST: Final = 1 << 20
"""Bytes; the certificates of all authorities that a system trusts are a quarter of it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server shows, and whom it lets show a certificate; `context` is for its HTTP connections."""

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes
    """Certificates of who signs those of clients, in PEM; empty where clients need none."""
    context: ssl.SSLContext

    def seal(self, connection: socket.socket) -> ssl.SSLSocket:
        """Have a client's connection, which has said nothing yet, encrypted, with a handshake to come.

        The connection is then the result's. Raises OSError where the client is gone.
        """
        connection.settimeout(0)
        # Of one that was reset, wrap_socket would leave an open socket to nobody.
        connection.getpeername()
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """A certificate and its key in files that the settings `<setting>_CERTIFICATE` and `<setting>_KEY` name.

    `key` is None where it is in the certificate's file; `client_ca` is what `<setting>_CLIENT_CA` names.
    """

    setting: str
    certificate: Path
    key: Path | None = None
    client_ca: Path | None = None

    @classmethod
    def of(
        cls, setting: str, certificate: Path | None, key: Path | None, client_ca: Path | None = None
    ) -> Self | None:
        """Give None where nothing is set; raises ConfigurationError where the certificate is what lacks."""
        if certificate is not None:
            return cls(setting, certificate, key, client_ca)
        for file, name in ((key, "KEY"), (client_ca, "CLIENT_CA")):
            if file is not None:
                raise ConfigurationError(f"{setting}_{name} is set without {setting}_CERTIFICATE: set both.")
        return None

    @property
    def files(self) -> tuple[Path, ...]:
        """All that are named."""
        return tuple(file for file in (self.certificate, self.key, self.client_ca) if file is not None)

    def served(self, *, grpc: bool = False) -> Replaced[Identity]:
        """Give what a server, perhaps of gRPC, shows, which follows the files.

        Raises ConfigurationError, naming the setting, where that is no certificate that it could show.
        """
        return Replaced(self.files, self._of_grpc if grpc else self._identity)

    def check_kind(self, chain: bytes) -> None:
        """Raise ConfigurationError for a certificate with a kind of key that gRPC fails over in silence."""
        # Takes long to import, and is not for everybody.
        from clients.process.leaf import Leaf  # noqa: PLC0415

        kind = Leaf.parse(chain).kind
        if kind not in _OF_GRPC:
            raise ConfigurationError(
                f"{self.setting}_CERTIFICATE ({self.certificate}) has a key of the kind {kind}, which gRPC"
                " does not take: make one with RSA, or with ECDSA on P-256 or P-384."
            )

    def load(self, context: ssl.SSLContext) -> tuple[bytes, bytes]:
        """Have a context show the certificate; gives the certificate and the key, in PEM.

        Raises ConfigurationError, naming the setting, where they cannot be read or do not belong together.
        """
        contents = self._contents()
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{self._names} are not a certificate and its key, both in PEM and without a password:"
                f" {_reason(error)}."
            ) from error
        if self._contents() != contents:
            raise ConfigurationError(f"{self._names} were replaced while they were read: try again.")
        return contents

    def _identity(self) -> Identity:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        chain, key = self.load(context)
        client_ca = b""
        if self.client_ca is not None:
            client_ca = read_authorities(self.client_ca, f"{self.setting}_CLIENT_CA", context)
            # Whoever asks for health needs none; the routes that do look for it.
            context.verify_mode = ssl.CERT_OPTIONAL
        return Identity(chain, key, client_ca, context)

    def _of_grpc(self) -> Identity:
        identity = self._identity()
        self.check_kind(identity.chain)
        return identity

    def _contents(self) -> tuple[bytes, bytes]:
        certificate = _read(self.certificate, f"{self.setting}_CERTIFICATE")
        return certificate, certificate if self.key is None else _read(self.key, f"{self.setting}_KEY")

    @property
    def _names(self) -> str:
        return f"{self.setting}_CERTIFICATE ({self.certificate}) and {self.setting}_KEY ({self.key})"


def read_authorities(path: Path, setting: str, context: ssl.SSLContext) -> bytes:
    """Have a context trust the certificates in a PEM file, and give what it holds.

    Raises ConfigurationError, naming the setting.
    """
    content = _read(path, setting)
    try:
        context.load_verify_locations(path)
    except OSError as error:
        raise ConfigurationError(
            f"{setting} ({path}) holds no certificates: give them in PEM, each from"
            " -----BEGIN CERTIFICATE----- on."
        ) from error
    return content


def _read(path: Path, setting: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigurationError(f"{setting} ({path}) cannot be read: {error.strerror}.") from error
    if len(content) > _LONGEST:
        raise ConfigurationError(f"{setting} ({path}) is larger than a mebibyte: name a PEM file.")
    return content


def _reason(error: OSError | ValueError) -> str:
    return (getattr(error, "reason", None) or str(error)).lower().replace("_", " ")


def _no_password() -> str:
    # Otherwise OpenSSL asks at the terminal, which nobody may be looking at.
    raise ValueError("the key is encrypted")
