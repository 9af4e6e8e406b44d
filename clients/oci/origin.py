"""Where requests, and the credentials with them, may go."""

import re
from dataclasses import dataclass
from typing import Self

from yarl import URL

from clients.oci.domain import same_owner

# What can stand in a request line; a space or a control character would end it.
_URL = re.compile(r"[!-~]{1,8000}")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
# Token services that a registry may name although they are elsewhere: (registry, token service).
_KNOWN_REALMS = frozenset({("registry-1.docker.io", "auth.docker.io")})


class ForbiddenUrl(Exception):
    """A URL from an upstream that must not be followed; `str()` completes "it named a URL that ..."."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port (RFC 6454): what a credential belongs to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: URL) -> Self:
        """Takes the origin of an absolute http or https URL."""
        return cls(url.scheme, (url.raw_host or "").lower(), url.port or 0)


def follow(base: URL, location: str) -> URL:
    """Resolves a Location or Link against the URL it came from; raises ForbiddenUrl.

    What the upstream wrote is kept to the letter, since signed URLs depend on it.
    """
    return _checked(_parse(location), base)


def check_redirect(first: URL, target: URL) -> None:
    """Raises ForbiddenUrl for a hop to HTTP without TLS, unless the `first` request was without it too."""
    if target.scheme == "http" and first.scheme != "http":
        raise ForbiddenUrl("leaves TLS")


def check_same_origin(base: URL, target: URL) -> None:
    """Raises ForbiddenUrl for a URL at another origin."""
    if Origin.of(base) != Origin.of(target):
        raise ForbiddenUrl("is at another origin")


def trusted_realm(registry: URL, realm: str) -> URL:
    """Reads the realm of a challenge, where credentials of the registry may go; raises ForbiddenUrl.

    It must be https unless the registry itself is at http, and at the same host, in the same registrable
    domain, or a known pair.
    """
    url = _parse(realm)
    if not url.absolute:
        raise ForbiddenUrl("is not absolute")
    url = _checked(url, url)
    check_redirect(registry, url)
    pair = (Origin.of(registry).host, Origin.of(url).host)
    if pair not in _KNOWN_REALMS and not same_owner(*pair):
        raise ForbiddenUrl(f"belongs to another owner ({pair[1]})")
    return url


def _parse(text: str) -> URL:
    if not _URL.fullmatch(text):
        raise ForbiddenUrl("is malformed")
    try:
        return URL(text, encoded=True)
    except ValueError:
        raise ForbiddenUrl("is malformed") from None


def _checked(url: URL, base: URL) -> URL:
    try:
        url = base.join(url).with_fragment(None)
        host, _ = url.raw_host, url.port
    except ValueError:
        raise ForbiddenUrl("is malformed") from None
    if url.scheme not in ("http", "https"):
        raise ForbiddenUrl("is neither http nor https")
    if host is None or not _HOST.fullmatch(host):
        raise ForbiddenUrl("has no proper host")
    if url.raw_user is not None or url.raw_password is not None:
        raise ForbiddenUrl("has a user name or password")
    return url
