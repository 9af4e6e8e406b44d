"""What a certificate says of itself."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

_NAMES: Final = 5
"""Names to list for people; there may be a hundred."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """Whom a certificate is for (DNS names, IP addresses), until when, who signed it, its kind of key."""

    names: tuple[str, ...]
    until: datetime
    issuer: str
    kind: str
    """As `RSA`, `secp256r1` or `Ed25519`."""

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read DER, or the first certificate of PEM; raises ValueError."""
        load = x509.load_pem_x509_certificate if b"-----BEGIN" in content else x509.load_der_x509_certificate
        found = load(content)
        return cls(
            _names(found), found.not_valid_after_utc, found.issuer.rfc4514_string(), _kind(found.public_key())
        )

    @property
    def named(self) -> str:
        """The names as people read them."""
        if not self.names:
            return "no name"
        more = len(self.names) - _NAMES
        return ", ".join(self.names[:_NAMES]) + (f" and {more} more" if more > 0 else "")


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def _kind(key: object) -> str:
    match key:
        case ec.EllipticCurvePublicKey():
            return key.curve.name
        case _:
            return type(key).__name__.removesuffix("PublicKey").removeprefix("_")
