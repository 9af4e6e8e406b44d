"""Settings of the registry's port: what it shows, and what its clients may have; see `dataplane.settings`."""

import resource
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings

from clients.process.exits import ConfigurationError
from clients.process.proxies import TRUSTED_PROXIES, TRUSTED_PROXIES_DESCRIPTION, Proxies
from clients.process.quantities import Count, Duration, Size
from clients.process.tls import KeyFiles
from dataplane.http.limits import Limits
from dataplane.http.pace import Rates

_OTHER_FILES: Final = 128


class ServerSettings(BaseSettings):
    """The part of a node's settings that is about serving clients."""

    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file with a certificate and those that signed it: the registry then speaks https",
    )
    tls_key: Path | None = Field(default=None, description="PEM file with the key of that certificate")
    fast_path: bool = Field(
        default=True,
        description="whether ordinary requests for what is warm are answered in front of the parser; `false`"
        " sends everything through it, with the same answers",
    )
    trusted_proxies: str = Field(default="", description=TRUSTED_PROXIES_DESCRIPTION)
    proxy_protocol: bool = Field(
        default=False,
        description="whether connections from `PENSTOCK_TRUSTED_PROXIES` begin with a header of the PROXY"
        " protocol, version 1 or 2",
    )
    max_connections: int = Field(
        default=10_000,
        ge=1,
        description="how many connections a worker holds; further ones are told to come back",
    )
    max_transfers_per_token: Count = Field(
        default=1000, description="how many blobs one token may pull from a worker at once; 0 for any number"
    )
    max_transfers_per_address: Count = Field(
        default=1000,
        description="how many blobs one IP address may pull from a worker at once; 0 for any number",
    )
    max_transfers: Count = Field(
        default=5000, description="how many blobs a worker sends at once; 0 for any number"
    )
    max_rate_per_token: Size = Field(
        default=0,
        description="how many bytes of blobs a second a node sends to one token, like `50MiB`; 0 for any"
        " number",
    )
    max_rate_per_address: Size = Field(
        default=0,
        description="how many bytes of blobs a second a node sends to one IP address, like `50MiB`; 0 for any"
        " number",
    )
    max_rate: Size = Field(
        default=0,
        description="how many bytes of blobs a second a node sends in all, shared evenly by its transfers,"
        " like `1GiB`; 0 for any number",
    )
    idle_timeout: Duration = Field(
        default=timedelta(seconds=75),
        gt=timedelta(0),
        description="how long a connection may wait for its next request, like `75s`",
    )
    header_timeout: Duration = Field(
        default=timedelta(seconds=30),
        gt=timedelta(0),
        description="how long a client may take to send the headers of a request, like `30s`",
    )
    stall_timeout: Duration = Field(
        default=timedelta(seconds=120),
        gt=timedelta(0),
        description="how long a client may take nothing of what is sent to it, like `2m`",
    )

    @property
    def tls(self) -> KeyFiles | None:
        """What the registry's port shows; None where it speaks in clear. Raises ConfigurationError."""
        return KeyFiles.of("PENSTOCK_TLS", self.tls_certificate, self.tls_key)

    @property
    def proxies(self) -> Proxies:
        """Who is believed whom requests are from. Raises ConfigurationError."""
        proxies = Proxies.parse(self.trusted_proxies)
        if self.proxy_protocol and not proxies:
            raise ConfigurationError(
                f"PENSTOCK_PROXY_PROTOCOL needs {TRUSTED_PROXIES}: the networks of the proxies that"
                " speak it, like 10.0.0.0/8. Anybody else could write any client's address."
            )
        return proxies

    @property
    def rates(self) -> Rates:
        """How fast blobs are sent."""
        return Rates(self.max_rate, self.max_rate_per_token, self.max_rate_per_address)

    @property
    def server_limits(self) -> Limits:
        """What the registry's clients may have and take; no more connections than this process may hold."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return Limits(
            # One descriptor for the socket and one for the blob that it gets, and some for everything else.
            connections=max(1, min(self.max_connections, (files - _OTHER_FILES) // 2)),
            idle=self.idle_timeout.total_seconds(),
            header=self.header_timeout.total_seconds(),
            stall=self.stall_timeout.total_seconds(),
        )
