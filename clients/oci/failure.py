"""Failures of the HTTP library and answers of upstreams, translated into this package's errors, once."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from yarl import URL

from clients.oci.address import AddressRefused
from clients.oci.errors import (
    ForbiddenAddress,
    NotAsked,
    PermissionMissing,
    UnknownHost,
    UntrustedTls,
    UpstreamBroken,
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from clients.oci.pace import TooSlow
from clients.process.descriptors import is_shortage

# Characters of an upstream's own explanation that are passed on.
_EXPLANATION = 200
# Seconds that Retry-After is believed for. The longest window of a registry that is known, Docker Hub's for
# pulls, is six hours: who says more is wrong, or has shut somebody out, and is asked once in a while.
LONGEST_WAIT = 6 * 3600
# Numbers from here on are no seconds to wait, but since 1970: Docker Hub's API was seen to send these.
_MOMENT = 1_000_000_000
# What OpenSSL, by its version, makes of an answer in plain HTTP.
_NO_TLS = frozenset(
    {"wrong version number", "record layer failure", "http request", "packet length too long"}
)
_WITHOUT_TLS = " If it is meant to be without TLS, update the artifact with --plain-http."
# What Go, nginx and Apache answer, with 400, to a request without TLS where they expect it.
_EXPECTS_TLS = (
    b"HTTP request to an HTTPS server",
    b"plain HTTP request was sent to HTTPS port",
    b"plain HTTP to an SSL-enabled server port",
)
# How AWS names the IAM action that somebody lacks.
_IAM_ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]{2,30}:[A-Za-z]{3,60})")


@contextmanager
def translated(host: str) -> Iterator[None]:
    """Turns what the HTTP library raises inside into an UpstreamError about `host`."""
    try:
        yield
    except AddressRefused as error:
        raise ForbiddenAddress(host, f"{error}.") from error
    except aiohttp.ConnectionTimeoutError as error:
        raise UpstreamBroken(host, f"{host} could not be reached in time.") from error
    except TooSlow as error:
        raise UpstreamUnavailable(host, f"{host} sent {error}.") from error
    except TimeoutError as error:
        # aiohttp's own time-outs are of this class as well.
        raise UpstreamUnavailable(host, f"{host} did not answer in time.") from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        reason = _tls_reason(error)
        remedy = _WITHOUT_TLS if reason in _NO_TLS and _is_own(error, host) else ""
        raise UntrustedTls(host, f"{host} could not be reached over TLS: {reason}.{remedy}") from error
    except aiohttp.ClientConnectorDNSError as error:
        raise UnknownHost(host, f"The host name of {host} could not be resolved.") from error
    except aiohttp.ClientConnectorError as error:
        if is_shortage(error.os_error):
            # Nothing was asked, so that nothing is known of the host.
            raise NotAsked(host, f"No file descriptor is left to ask {host} with.") from error
        reason = error.os_error.strerror or "the connection failed"
        raise UpstreamBroken(host, f"{host} could not be reached: {reason}.") from error
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
        raise UpstreamBroken(host, f"{host} broke off the connection.") from error
    except aiohttp.ClientError as error:
        raise UpstreamInvalid(host, f"{host} gave an answer that is not proper HTTP.") from error


def refusal(
    host: str, what: str, status: int, headers: Mapping[str, str], body: bytes = b"", *, secret: str = ""
) -> UpstreamError:
    """Makes the error for an answer that is not the one hoped for.

    `what` was asked for ("the tags of library/redis"). The upstream's own explanation is passed on from
    `body`, unless it holds `secret`, the value of the Authorization header that was sent.
    """
    own_words = _explanation(body, secret)
    wait = retry_after(headers)
    action = missing_permission(body.decode(errors="replace"))
    match status:
        case 401 | 403 if action:
            return PermissionMissing(
                host,
                f"{host} does not allow reading {what}: the credential lacks the permission {action}.",
                permission=action,
            )
        case 401 | 403:
            return UpstreamDenied(
                host, f"{host} does not allow reading {what}, or has no such repository{own_words}."
            )
        case 400 if any(words in body for words in _EXPECTS_TLS):
            return UpstreamInvalid(
                host,
                f"{host} expects TLS and was asked for {what} without it: update the artifact with --tls.",
            )
        case 404:
            return UpstreamNotFound(host, f"{host} does not have {what}{own_words}.")
        case 429:
            return UpstreamRateLimited(
                host, f"{host} asks for fewer requests and refused {what}{own_words}.", retry_after=wait
            )
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return UpstreamUnavailable(
                host, f"{host} answered {status} when asked for {what}{own_words}.", retry_after=wait
            )
    return UpstreamInvalid(host, f"{host} gave the unexpected answer {status} for {what}{own_words}.")


def missing_permission(text: str) -> str:
    """Finds the IAM action in what AWS says to somebody who lacks it; "" in other text."""
    match = _IAM_ACTION.search(text)
    return "" if match is None else match[1]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Reads Retry-After (RFC 9110, section 10.2.3) as seconds, at most LONGEST_WAIT; None if it says nothing.

    A date, or a number that can only be one, is taken as relative to the answer's own Date, so that clocks
    need not agree.
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    until: datetime | None
    if text.isascii() and text.isdigit():
        # Of a moment in milliseconds, the seconds.
        number = int(text[:10])
        if number < _MOMENT:
            return min(float(number), LONGEST_WAIT)
        until = datetime.fromtimestamp(number, UTC)
    else:
        until = _date(text)
    sent = _date(headers.get("Date", ""))
    if until is None or sent is None:
        return None
    return min(max((until - sent).total_seconds(), 0), LONGEST_WAIT)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _tls_reason(error: aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError) -> str:
    cause = (
        error.certificate_error
        if isinstance(error, aiohttp.ClientConnectorCertificateError)
        else error.os_error
    )
    verdict = getattr(cause, "verify_message", "") or getattr(cause, "reason", "")
    return str(verdict or "the handshake failed").lower().replace("_", " ").rstrip(".")


def _is_own(error: aiohttp.ClientConnectorError, host: str) -> bool:
    # Where it redirects to, or has its tokens, is not what the artifact names.
    return error.host == URL(f"https://{host}").raw_host


def _explanation(body: bytes, secret: str) -> str:
    # The first error of the specification's error format, section "Error Codes".
    try:
        first = json.loads(body)["errors"][0]
        words = [first.get("code"), first.get("message")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    said = ": ".join(word for word in words if isinstance(word, str) and word)
    text = "".join(letter for letter in said if letter.isprintable()).strip()[:_EXPLANATION].rstrip(". ")
    # As it was sent and as it reads, which differ where JSON writes a letter with an escape.
    told = f"{body.decode(errors='replace')}\n{said}"
    if not text or any(form in told for form in _forms(secret)):
        return ""
    return f" ({text})"


def _forms(secret: str) -> set[str]:
    # What an upstream could repeat of an Authorization header: its credential, and a password in it.
    scheme, _, credential = secret.rpartition(" ")
    forms = {credential}
    if scheme.lower() == "basic":
        try:
            forms.add(base64.b64decode(credential, validate=True).decode().partition(":")[2])
        except (binascii.Error, UnicodeDecodeError):
            return forms - {""}
    return forms - {""}
