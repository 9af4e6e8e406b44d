"""How a client is sure of the control plane, and what it shows to it: certificates, in files."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from clients.control.target import Target
from clients.process.exits import ConfigurationError
from clients.process.replaced import Replaced
from clients.process.tls import KeyFiles, read_authorities

CA_SETTING: Final = "PENSTOCK_CA_FILE"
NAME_SETTING: Final = "PENSTOCK_SERVER_NAME"
CERTIFICATE_SETTING: Final = "PENSTOCK_CLIENT_CERTIFICATE"
KEY_SETTING: Final = "PENSTOCK_CLIENT_KEY"

_OWN: Final = "PENSTOCK_CLIENT"

# In a directory of a system's certificates, the file with all of them.
_BUNDLE: Final = "ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the files hold; `context` is for a client that is no gRPC, and knows the same."""

    authorities: bytes | None
    """PEM; None for those that gRPC was built with, as this system has none."""
    chain: bytes | None
    key: bytes | None = field(repr=False)
    context: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe that it is the control plane, and by which name; `own` is what is shown to it."""

    ca_file: Path | None = None
    server_name: str = ""
    own: KeyFiles | None = None

    @classmethod
    def of(cls, ca_file: Path | None, server_name: str, certificate: Path | None, key: Path | None) -> Self:
        """Take what the four settings say; raises ConfigurationError for a key without a certificate."""
        return cls(ca_file, server_name, KeyFiles.of(_OWN, certificate, key))

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the four settings; raises ConfigurationError as `of`."""

        def file(setting: str) -> Path | None:
            text = environment.get(setting)
            return Path(text) if text else None

        return cls.of(
            file(CA_SETTING),
            environment.get(NAME_SETTING, ""),
            file(CERTIFICATE_SETTING),
            file(KEY_SETTING),
        )

    def check_use(self, target: Target) -> None:
        """Raise ConfigurationError where the way is in clear, and something is set for one that is not."""
        if not target.tls and (setting := self._unused):
            raise ConfigurationError(
                f"{setting} is set, but PENSTOCK_ADDRESS ({target}) is spoken to in clear: set it to"
                f" https://{target.address}."
            )

    @property
    def _unused(self) -> str:
        """What is set that only TLS has a use for."""
        return (
            CA_SETTING
            if self.ca_file
            else NAME_SETTING
            if self.server_name
            else CERTIFICATE_SETTING
            if self.own
            else ""
        )

    def certificates(self) -> Replaced[Certificates]:
        """Give what the files hold, which follows them; raises ConfigurationError, naming the setting."""
        own = () if self.own is None else self.own.files
        authorities = self.ca_file or _system()
        return Replaced((*own, authorities) if authorities else own, self._read)

    def https(self) -> ssl.SSLContext:
        """Give what parts of the installation other than the control plane are asked with, by HTTP.

        They are verified by the names in their own addresses. Raises ConfigurationError, naming the setting.
        """
        return self._verifying("http/1.1").context

    def _read(self) -> Certificates:
        read = self._verifying("h2")
        if self.own is not None and read.chain is not None:
            self.own.check_kind(read.chain)
        return read

    def _verifying(self, protocol: str) -> Certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols([protocol])
        # As gRPC does: a bundle may hold what others have signed, down to the certificate itself.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        bundle = self.ca_file or _system()
        authorities = None
        if bundle is None:
            context.load_default_certs()
        else:
            authorities = read_authorities(bundle, CA_SETTING, context)
        chain, key = (None, None) if self.own is None else self.own.load(context)
        return Certificates(authorities, chain, key, context)


def _system() -> Path | None:
    """The file of certificates that this system trusts, which SSL_CERT_FILE may name."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return Path(paths.cafile)
    found = Path(paths.capath) / _BUNDLE if paths.capath else None
    return found if found and found.is_file() else None
