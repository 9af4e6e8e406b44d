"""From an Authorization header to a principal: the token is the password of Basic, or the bearer."""

import base64
from collections.abc import Mapping

from clients.control.token import is_well_formed, sha256
from dataplane.access.principal import Principal

# Basic's user name and password together; docker sends whatever the user typed as user name.
_LONGEST = 4096


def identify(authorization: str) -> bytes | None:
    """Give the SHA-256 of the token in an Authorization header; None where there is no well-formed one.

    Takes `Basic` with any user name, `Bearer`, and `AccessToken`.
    """
    token = _token(authorization)
    return sha256(token) if token is not None and is_well_formed(token) else None


def admit(token: bytes | None, principals: Mapping[bytes, Principal], now: float) -> Principal | None:
    """Find whose token this is, by its SHA-256; None for nobody that may pull.

    `now` is in seconds since the epoch, and an expired token is nobody's.
    """
    # Looked up by its hash: what time this takes says nothing about tokens that exist.
    principal = None if token is None else principals.get(token)
    if principal is None or (principal.expires_at is not None and principal.expires_at <= now):
        return None
    return principal


def _token(authorization: str) -> str | None:
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    match scheme.lower():
        case "basic" if len(value) <= _LONGEST:
            return _password(value)
        case "bearer" | "accesstoken":
            return value
    return None


def _password(encoded: str) -> str | None:
    try:
        # A user name may be in any encoding (RFC 7617, section 2.1); a token is ASCII in all of them.
        decoded = base64.b64decode(encoded, validate=True).decode("latin-1")
    except ValueError:
        return None
    _, separator, password = decoded.partition(":")
    return password if separator else None
