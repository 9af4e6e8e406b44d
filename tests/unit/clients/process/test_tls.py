"""Certificates and keys in files: what is wrong with them is said, and nothing of the key."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from clients.control.trust import Trust
from clients.process.exits import ConfigurationError
from clients.process.tls import KeyFiles
from tests.servers.certificates import Authority, Key, KeyPair


@pytest.fixture
def pair(tmp_path: Path) -> KeyPair:
    """A certificate and its key."""
    return Authority().issue(tmp_path, "127.0.0.1")


def locked(pair: KeyPair) -> Path:
    """The key, with a password on it."""
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    path = pair.key.with_suffix(".locked")
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return path


def _serve(certificate: Path | None, key: Path | None, client_ca: Path | None) -> None:
    files = KeyFiles.of("X", certificate, key, client_ca)
    assert files is not None
    files.served()


def test_what_cannot_be_used(pair: KeyPair, tmp_path: Path) -> None:
    """One sentence that names the setting, without a traceback of secrets, and nothing asks at a terminal."""
    other = Authority().issue(tmp_path, "localhost")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nothing")
    large = tmp_path / "large"
    large.write_bytes(b"x" * ((1 << 20) + 1))
    for certificate, key, client_ca, sentence in (
        (tmp_path / "absent", pair.key, None, r"X_CERTIFICATE .*No such file"),
        (pair.certificate, tmp_path / "absent", None, r"X_KEY .*No such file"),
        (pair.certificate, tmp_path, None, r"X_KEY .*cannot be read: Is a directory"),
        (pair.certificate, large, None, r"X_KEY .*larger than a mebibyte"),
        (None, pair.key, None, "X_KEY is set without X_CERTIFICATE"),
        (None, None, pair.certificate, "X_CLIENT_CA is set without X_CERTIFICATE"),
        (nonsense, pair.key, None, "X_CERTIFICATE .*are not a certificate and its key"),
        (pair.certificate, other.key, None, "X_KEY .*are not a certificate and its key"),
        (pair.certificate, locked(pair), None, "without a password"),
        (pair.certificate, None, None, "X_KEY"),
        (pair.certificate, pair.key, nonsense, "X_CLIENT_CA .*holds no certificates"),
        (pair.certificate, pair.key, pair.key, "X_CLIENT_CA .*holds no certificates"),
    ):
        with pytest.raises(ConfigurationError, match=sentence) as caught:
            _serve(certificate, key, client_ca)
        assert "PRIVATE" not in str(caught.value)


def test_what_can_be_used(pair: KeyPair, tmp_path: Path) -> None:
    """In two files or in one; nothing set is nothing shown; and the key is in no text of the value."""
    assert KeyFiles.of("X", None, None) is None
    both = tmp_path / "both"
    both.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    for files in (KeyFiles("X", pair.certificate, pair.key), KeyFiles("X", both)):
        identity = files.served().current()
        assert b"PRIVATE KEY" in identity.key
        assert identity.context.verify_mode is ssl.CERT_NONE
    assert "PRIVATE" not in repr(KeyFiles("X", pair.certificate, pair.key).served().current())


@pytest.mark.parametrize(
    ("key", "taken"),
    [
        (ec.generate_private_key(ec.SECP384R1()), True),
        (rsa.generate_private_key(public_exponent=65537, key_size=2048), True),
        (ec.generate_private_key(ec.SECP521R1()), False),
        (ed25519.Ed25519PrivateKey.generate(), False),
    ],
    ids=["P-384", "RSA", "P-521", "Ed25519"],
)
def test_keys_that_grpc_does_not_take(tmp_path: Path, key: Key, taken: bool) -> None:
    """It would end every connection without a word: there is a sentence instead. HTTP takes them."""
    pair = Authority().issue(tmp_path, "127.0.0.1", key=key)
    files = KeyFiles("X", pair.certificate, pair.key)
    files.served()
    if taken:
        files.served(grpc=True)
        return
    with pytest.raises(ConfigurationError, match=r"X_CERTIFICATE .*: make one with RSA"):
        files.served(grpc=True)
    with pytest.raises(ConfigurationError, match=r"X_CERTIFICATE .*: make one with RSA"):
        Trust(own=files).certificates()


def test_certificates_of_clients(pair: KeyPair, tmp_path: Path) -> None:
    """Whoever shows one over HTTP has it verified; the routes say who must."""
    authority = Authority().write(tmp_path / "clients")
    identity = KeyFiles("X", pair.certificate, pair.key, authority).served().current()
    assert identity.client_ca == authority.read_bytes()
    assert identity.context.verify_mode is ssl.CERT_OPTIONAL
