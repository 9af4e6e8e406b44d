"""Why there is no connection to a control plane: what TLS says, of which gRPC tells little or nothing."""

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import Final

from clients.control.target import ADDRESS_SETTING, Target
from clients.control.trust import CA_SETTING, CERTIFICATE_SETTING, KEY_SETTING, NAME_SETTING, Trust
from clients.process.aside import aside
from clients.process.exits import ConfigurationError

_PATIENCE: Final = 3.0
"""Seconds for each step: to connect, to shake hands, to be sent a first byte."""

# Seconds for all: a name whose server does not answer is looked up for longer, and nobody can end that.
_LONGEST: Final = 10.0

# Of OpenSSL's x509_vfy.h.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_WRONG_NAME: Final = frozenset({62, 64})
_UNKNOWN_ISSUER: Final = frozenset({2, 18, 19, 20, 21})

# What OpenSSL calls bytes that are no TLS.
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})


async def diagnose(target: Target, trust: Trust) -> str:
    """Look at what answers there, and give a sentence where that is not what the settings expect.

    Empty where nothing answers, or all is well by now. It connects, shakes hands and hangs up: nothing is
    sent, the token least of all. For calls that gRPC could not bring there, within ten seconds; whoever is
    cancelled, or ends the process, does not wait for it.
    """
    try:
        async with asyncio.timeout(_LONGEST):
            return await aside("tls-diagnosis", lambda: _diagnosed(target, trust))
    except ConfigurationError as error:
        return str(error)
    except OSError:
        # In time it was not found, or there was no thread to find it.
        return ""


def _diagnosed(target: Target, trust: Trust) -> str:
    if not target.tls:
        return _in_clear(target)
    name = trust.server_name or target.address.host
    context = trust.certificates().current().context
    try:
        plain = _connected(target)
    except (OSError, UnicodeError):
        # Nobody is there: gRPC says as much.
        return ""
    try:
        with plain, context.wrap_socket(plain, server_hostname=name) as sealed:
            return "" if _is_let_in(sealed) else _shut_out(target, trust)
    except ssl.SSLCertVerificationError as error:
        return _untrusted(target, name, error)
    except (OSError, UnicodeError) as error:
        return _failed(target, trust, error)


def _in_clear(target: Target) -> str:
    try:
        with (
            _connected(target) as plain,
            _unverified().wrap_socket(plain, server_hostname=target.address.host),
        ):
            pass
    except (OSError, UnicodeError) as error:
        # Whoever complains in TLS speaks it.
        if "ALERT" not in (getattr(error, "reason", None) or ""):
            return ""
    return (
        f"The control plane at {target} speaks TLS only: set {ADDRESS_SETTING} to https://{target.address}."
    )


def _connected(target: Target) -> socket.socket:
    return socket.create_connection((target.address.host, target.address.port), timeout=_PATIENCE)


def _is_let_in(sealed: ssl.SSLSocket) -> bool:
    # A server that wants a certificate of its client finds it wanting after the handshake of TLS 1.3; one
    # that is content says at once how it wants to be spoken to.
    return bool(sealed.recv(1))


def _shut_out(target: Target, trust: Trust) -> str:
    if trust.own is None:
        return (
            f"The control plane at {target} ends connections after the handshake. It does so where it wants a"
            f" certificate of its clients: set {CERTIFICATE_SETTING} and {KEY_SETTING} to the files of one."
        )
    what = _described(trust.own.certificate.read_bytes())
    return (
        f"The control plane at {target} does not take the certificate in {CERTIFICATE_SETTING}"
        f" ({trust.own.certificate}: {what}): give one that has not expired, and is signed by whom"
        " PENSTOCK_CONTROLPLANE_TLS_CLIENT_CA names there."
    )


def _failed(target: Target, trust: Trust, error: OSError | UnicodeError) -> str:
    reason = getattr(error, "reason", None) or str(error)
    if reason in _NO_TLS:
        return (
            f"The control plane at {target.address} does not speak TLS: give it a certificate"
            f" (PENSTOCK_CONTROLPLANE_TLS_CERTIFICATE), or set {ADDRESS_SETTING} to {target.address}, where"
            " nobody on the way is to be feared."
        )
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return _shut_out(target, trust)
    what = reason.lower().replace("_", " ")
    return (
        f"The TLS handshake with the control plane at {target} fails: {what}. See its log, and that of what"
        " stands between."
    )


def _untrusted(target: Target, name: str, error: ssl.SSLCertVerificationError) -> str:
    what = _shown(target, name)
    match error.verify_code:
        case code if code in _WRONG_NAME:
            return (
                f"The certificate of the control plane at {target} is not for {name} ({what}): set"
                f" {ADDRESS_SETTING} to a name that it is for, or {NAME_SETTING} to that name."
            )
        case code if code in _UNKNOWN_ISSUER:
            return (
                f"The certificate of the control plane at {target} is signed by nobody who is trusted here"
                f" ({what}): set {CA_SETTING} to a file with the certificate of who signed it."
            )
        case code if code in (_EXPIRED, _NOT_YET_VALID):
            state = "has expired" if code == _EXPIRED else "is not valid yet"
            return (
                f"The certificate of the control plane at {target}, or of who signed it, {state} ({what}):"
                " renew it there, and see that the clocks of both machines are right."
            )
        case _:
            return (
                f"The certificate of the control plane at {target} is not accepted ({what}):"
                f" {error.verify_message}."
            )


def _shown(target: Target, name: str) -> str:
    """What the certificate says of itself, which nobody vouches for."""
    with suppress(OSError, UnicodeError, ValueError):
        with _connected(target) as plain, _unverified().wrap_socket(plain, server_hostname=name) as sealed:
            content = sealed.getpeercert(binary_form=True) or b""
        return _described(content)
    return "it does not show it again"


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def _described(content: bytes) -> str:
    # Takes long to import, and is of no use where all is well.
    from clients.process.leaf import Leaf  # noqa: PLC0415

    leaf = Leaf.parse(content)
    return f"it is for {leaf.named}, valid until {leaf.until:%Y-%m-%d %H:%M} UTC, signed by {leaf.issuer}"
