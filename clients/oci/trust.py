"""Which certificates of upstreams are trusted: the system's, or a bundle of the upstream's own."""

import ssl
from collections import OrderedDict

_LONGEST = 256 * 1024
_REMEMBERED = 256


class InvalidCertificates(ValueError):
    """A text that is no bundle of certificates; `str()` is a sentence with what to give instead."""


def check_certificates(pem: str) -> str:
    """Gives a bundle of PEM certificates back, without blanks around it; raises InvalidCertificates."""
    pem = pem.strip()
    if len(pem) > _LONGEST:
        raise InvalidCertificates(f"is longer than {_LONGEST} characters.")
    if pem:
        # A mistake that is easily made, and would be kept and shown.
        if "PRIVATE KEY" in pem:
            raise InvalidCertificates(
                "has a private key, which does not belong here: give certificates only."
            )
        _only(pem)
    return pem


class TrustStore:
    """Contexts for TLS by bundle, made once; `system` takes the place of the system's certificates."""

    def __init__(self, system: ssl.SSLContext | None = None) -> None:
        self._system = system
        self._made: OrderedDict[tuple[str, bool], ssl.SSLContext] = OrderedDict()

    def context(self, pem: str, *, own: bool) -> ssl.SSLContext | bool:
        """Gives what aiohttp takes for `ssl`.

        `own` is for the upstream's own host, which only the bundle vouches for. Whoever else the upstream
        leads to (storage, a token service) may be vouched for by the system's certificates as well.
        """
        if not pem:
            return self._system or True
        key = (pem, own)
        context = self._made.get(key)
        if context is None:
            context = self._made[key] = _only(pem) if own else _both(pem)
            if len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return context


def _only(pem: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, TypeError, ValueError) as error:
        raise InvalidCertificates(
            "is no bundle of certificates: give them in PEM, each from -----BEGIN CERTIFICATE----- on."
        ) from error


def _both(pem: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=pem)
    return context
