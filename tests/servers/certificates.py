"""Certificates, made when a test needs them: a private authority, and what it signs."""

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, in files as servers want them."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """For a TLS server in this process."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Authority:
    """A certificate authority that nobody trusts unless told to."""

    def __init__(self, name: str = "Private CA of the tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @cached_property
    def pem(self) -> str:
        """Its own certificate, which is what others are to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def client_context(self) -> ssl.SSLContext:
        """For a client in this process that trusts this authority and no other."""
        return ssl.create_default_context(cadata=self.pem)

    def write(self, directory: Path) -> Path:
        """Its own certificate, in a file."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "ca.pem"
        path.write_text(self.pem)
        return path

    def issue(
        self, directory: Path, *hosts: str, expired: bool = False, key: Key | None = None, days: int = 1
    ) -> KeyPair:
        """Makes a certificate for names and addresses, good for so many days; files have the first one's."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        builder = _builder(subject, self._name, key, ended=expired, days=days)
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        # Verifiers that go by RFC 5280 strictly, as Python's of later versions, want it.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(names, critical=False).add_extension(issuer, critical=False)
        return write(directory, hosts[0], builder.sign(self._key, hashes.SHA256()), key)


def signing_pair(directory: Path, name: str) -> tuple[x509.Certificate, rsa.RSAPrivateKey, KeyPair]:
    """Makes an RSA key to sign tokens with (RS256), and a self-signed certificate of it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    return certificate, key, write(directory, name, certificate, key)


def write(directory: Path, name: str, certificate: x509.Certificate, key: Key) -> KeyPair:
    """Writes a certificate and its key, in PEM."""
    directory.mkdir(parents=True, exist_ok=True)
    pair = KeyPair(directory / f"{name}.crt", directory / f"{name}.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pair


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, *, ended: bool = False, days: int = 1
) -> x509.CertificateBuilder:
    now = datetime.now(UTC) - timedelta(days=2 if ended else 0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
