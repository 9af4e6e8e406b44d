"""Secrets that would leave this machine in clear: who could read them, and who wants it all the same."""

import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

from clients.process.exits import ConfigurationError
from clients.process.networks import IPAddress, parse_address

SETTING: Final = "PENSTOCK_ALLOW_CLEARTEXT"
DESCRIPTION: Final = (
    "says that nobody else can read the network: of tokens and passwords that leave this machine in clear"
    " there is no warning, and `penstock explain --node` asks other machines by `http://`"
)

_IN_CLEAR: Final = frozenset({"http", "redis"})
# As other settings are read that are yes or no.
_YES: Final = frozenset({"true", "1", "yes", "on", "t", "y"})
_NO: Final = frozenset({"false", "0", "no", "off", "f", "n", ""})
_DISCARD: Final = 9


def is_allowed(environment: Mapping[str, str]) -> bool:
    """Whether the environment insists; raises ConfigurationError where it says neither yes nor no."""
    text = environment.get(SETTING, "").strip().lower()
    if text not in _YES | _NO:
        raise ConfigurationError(f"{SETTING} is {text!r}: give true or false.")
    return text in _YES


def is_here(host: str) -> bool:
    """Whether what is sent to a host stays on this machine; a name is not looked up for it."""
    host = host.lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    found = parse_address(host)
    if found is None:
        return False
    # Whoever dials all addresses of a machine gets its own.
    return found.is_loopback or found.is_unspecified or _is_own(found)


def warning(url: str, setting: str) -> str:
    """Give the sentence about a URL, from this setting, with a password that others can read; else ""."""
    try:
        parts = urlsplit(url)
        has_password = bool(parts.password or parse_qs(parts.query).get("password"))
    except ValueError:
        return ""
    scheme, host = parts.scheme, parts.hostname or ""
    if scheme not in _IN_CLEAR or not has_password or is_here(host):
        return ""
    return (
        f"{setting} has a password, which is sent in clear to {host}: use {scheme}s://, or set {SETTING}=true"
        " where nobody else can read the network."
    )


def _is_own(address: IPAddress) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as asked:
        try:
            # Sends nothing: the kernel says from where it would.
            asked.connect((str(address), _DISCARD))
            own, *_ = asked.getsockname()
        except OSError:
            return False
    return parse_address(own) == address
