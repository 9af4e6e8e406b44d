"""Where an artifact comes from: one repository of one upstream registry."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

from clients.oci.digest import InvalidReference, shown
from clients.oci.reference import check_repository

_EXAMPLE = "write it as docker.io/library/redis or registry.example.com:5000/team/app"
# Docker Hub's other names, and the one that its API answers to.
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_DOCKER_HUB_API = "registry-1.docker.io"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST = 512
_HIGHEST_PORT = 65535
_LONGEST_HOST = 253


class InvalidUpstream(ValueError):
    """Text that does not name one upstream repository; `str()` is a sentence with a good example."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}: {_EXAMPLE}.")


@dataclass(frozen=True, slots=True)
class Upstream:
    """One upstream repository; made by `parse`, which writes equal ones equally."""

    host: str
    repository: str
    plain_http: bool

    @classmethod
    def parse(cls, text: str, *, plain_http: bool = False) -> Self:
        """Reads `host[:port]/repository`; raises InvalidUpstream.

        Docker Hub's other host names become docker.io and its official images get their `library/`;
        the scheme's own port is left out. `plain_http` says that the upstream speaks HTTP without TLS.
        """
        _refuse_url_parts(text)
        first, slash, repository = text.partition("/")
        host = first.lower()
        named = "." in host or ":" in host or host == "localhost"
        if not slash or not repository:
            raise InvalidUpstream(
                f"{shown(text)} is a whole registry, and an upstream is one repository of it"
                if named
                else f"{shown(text)} does not say which registry it is in"
            )
        if not named:
            raise InvalidUpstream(f"{shown(text)} does not start with the host of a registry")
        host = _host(host, plain_http=plain_http)
        if ":" in repository.rpartition("/")[2]:
            raise InvalidUpstream(f"{shown(text)} has a tag, and an upstream is all tags of a repository")
        if host in _DOCKER_HUB:
            host = "docker.io"
            repository = repository if "/" in repository else f"library/{repository}"
        try:
            check_repository(repository)
        except InvalidReference as error:
            raise InvalidUpstream(str(error).removesuffix(".")) from error
        return cls(host, repository, plain_http)

    @property
    def base_url(self) -> str:
        """Scheme, host and port of the registry's API, without a slash at the end."""
        scheme = "http" if self.plain_http else "https"
        return f"{scheme}://{_DOCKER_HUB_API if self.host == 'docker.io' else self.host}"

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}"


def _refuse_url_parts(text: str) -> None:
    # What may hold a password is not repeated.
    if "@" in text:
        raise InvalidUpstream(
            "The upstream has an @, but neither a digest nor a user name and password belong in it"
        )
    if len(text) > _LONGEST:
        raise InvalidUpstream(f"The upstream is longer than {_LONGEST} characters")
    # Neither is a query, which may hold a token.
    told = shown(text.partition("?")[0])
    if "://" in text:
        raise InvalidUpstream(f"{told} has a scheme, which an upstream is written without")
    if not text or not text.isascii() or not text.isprintable() or any(mark in text for mark in " ?#%\\"):
        raise InvalidUpstream(f"{told} is not an upstream repository")


def _host(text: str, *, plain_http: bool) -> str:
    match = _HOST.fullmatch(text)
    if match is None:
        raise InvalidUpstream(f"{shown(text)} is not a host")
    name, port = match.groups()
    if name.startswith("["):
        try:
            name = f"[{ipaddress.IPv6Address(name[1:-1])}]"
        except ValueError as error:
            raise InvalidUpstream(f"{shown(text)} is not an IPv6 address") from error
    elif name.rpartition(".")[2].isdigit():
        # Everything that a resolver might take for an address has to be one in its usual form.
        try:
            name = str(ipaddress.IPv4Address(name))
        except ValueError as error:
            raise InvalidUpstream(f"{shown(text)} is not an IPv4 address") from error
    elif len(name) > _LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise InvalidUpstream(f"{shown(text)} is not a host name")
    if port is None or int(port) == (80 if plain_http else 443):
        return name
    if not 0 < int(port) <= _HIGHEST_PORT:
        raise InvalidUpstream(f"{shown(text)} has a port that is not between 1 and {_HIGHEST_PORT}")
    return f"{name}:{int(port)}"
