"""The data plane's settings: environment variables, to one frozen value."""

import re
import resource
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from clients.control.target import Target
from clients.control.trust import Trust
from clients.process import log, tracing
from clients.process.duration import parse_duration
from clients.process.exits import ConfigurationError
from clients.process.listen import Address
from clients.process.place import DEFAULT_DATA_DIR
from clients.process.size import parse_size
from clients.process.tls import KeyFiles
from dataplane.blobs.place import Place
from dataplane.events.measures import LABELS
from dataplane.http.limits import Limits
from dataplane.http.pace import Rates
from dataplane.http.redirects import Rule

_PREFIX: Final = "PENSTOCK_"
_OTHER_FILES: Final = 128


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


def _pull_labels(value: str) -> str:
    more = [label.strip() for label in value.split(",") if label.strip()]
    if not set(more) <= set(LABELS[2:]):
        raise ValueError("give customer, tag or customer,tag")
    return ",".join(more)


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]


class Settings(BaseSettings):
    """What the environment says; each field's description is its line in the README's table."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, env_ignore_empty=True, populate_by_name=True, extra="ignore"
    )

    data_dir: Path = Field(
        default=DEFAULT_DATA_DIR, description="where everything is kept; deleting it resets the system"
    )
    registry_listen: str = Field(default="127.0.0.1:8080", description="address of the registry")
    node_listen: str = Field(
        default="127.0.0.1:8083",
        description="address of a node's health, metrics and what it has cached; for a trusted network",
    )
    metrics_token: SecretStr = Field(
        default=SecretStr(""),
        description="the token that Prometheus shows for `/metrics` (`Authorization: Bearer`); without it, it"
        " is for everybody who reaches the address",
    )
    address: str = Field(
        default="127.0.0.1:8081",
        description="where the control plane's gRPC API is; `https://host:port` where it speaks TLS",
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file with the certificates to trust for the control plane, in place of those of the"
        " system",
    )
    server_name: str = Field(
        default="",
        description="the name that the control plane's certificate must have, where it is not the host in"
        " `PENSTOCK_ADDRESS`",
    )
    client_certificate: Path | None = Field(
        default=None,
        description="PEM file with the certificate to show to a control plane that wants one, and those that"
        " signed it",
    )
    client_key: Path | None = Field(default=None, description="PEM file with the key of that certificate")
    node_token: SecretStr = Field(
        default=SecretStr(""),
        description="the token that admits a node to the control plane; without it, the file `node-token` in"
        " the data directory is read, and waited for",
    )
    blob_store: str = Field(
        default="",
        description="where blobs are kept, `file:///path` or `s3://bucket/prefix`, which has a hot tier in"
        " `blobs` in the data directory; without it, there alone. S3's credentials and region come from the"
        " environment that AWS's tools use (`AWS_ACCESS_KEY_ID` ...)",
    )
    s3_endpoint: str = Field(
        default="",
        description="base URL of an S3-compatible server other than Amazon's, like `https://s3.local`",
    )
    s3_ca_file: Path | None = Field(
        default=None, description="file with the certificates to trust for it, in place of the usual ones"
    )
    s3_redirect: str = Field(
        default="never",
        description="whether clients are sent to S3 for blobs that are there, by a signed URL: `never`,"
        " `always`, or for blobs larger than a size like `16MiB`",
    )
    s3_redirect_except: str = Field(
        default="",
        description="networks of clients that never are, like `10.0.0.0/8,2001:db8::/32`",
    )
    s3_public_endpoint: str = Field(
        default="",
        description="base URL of S3 in these URLs, where clients do not reach it as the node does",
    )
    s3_wait: Duration = Field(
        default=timedelta(seconds=20),
        ge=timedelta(0),
        description="how long a node waits for another one to put into S3 what both want, before it asks the"
        " upstream itself, like `20s`; 0 for not at all",
    )
    redis_url: str = Field(
        default="",
        description="`redis://host:6379/0` for the locks of sync, when several control planes share a"
        " database, and for the turns of nodes that share a bucket; without it, they are rows of the"
        " database, and objects in the bucket",
        repr=False,
    )
    cache_max_bytes: Size = Field(
        default=50 << 30,
        description="how much room the cached blobs may take, in bytes or like `20GiB`; 0 for no limit",
    )
    cache_min_free_bytes: Size = Field(
        default=1 << 30,
        description="how much of the disk stays free, in bytes or like `1GiB`; blobs that would take it make"
        " room, or are passed through and not kept",
    )
    scrub_rate: Size = Field(
        default=8 << 20,
        description="how many bytes a second of the cached blobs are read again, to find and drop what is"
        " rotten, like `8MiB`; 0 for none",
    )
    prefetch_rate: Size = Field(
        default=32 << 20,
        description="how many bytes a second a worker fetches ahead, for artifacts that ask for it, like"
        " `32MiB`; 0 for any number",
    )
    manifest_memory_max_bytes: Size = Field(
        default=64 << 20,
        description="how much memory resolved manifests and tags may take, like `64MiB`",
    )
    manifest_disk_max_bytes: Size = Field(
        default=512 << 20,
        description="how much disk resolved manifests and tags may take, like `512MiB`",
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file with a certificate and those that signed it: the registry then speaks https",
    )
    tls_key: Path | None = Field(default=None, description="PEM file with the key of that certificate")
    workers: Count = Field(
        default=0,
        le=256,
        description="how many processes serve the registry together; 0 for one a processor core",
    )
    worker_timeout: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(0),
        description="after how long a worker that does nothing any more, as it hangs or was stopped, is"
        " killed and replaced, like `30s`; 0 for never. A node of one process has nobody to do it",
    )
    fast_path: bool = Field(
        default=True,
        description="whether ordinary requests for what is warm are answered in front of the parser; `false`"
        " sends everything through it, with the same answers",
    )
    max_connections: Count = Field(
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
    pull_events: bool = Field(
        default=True,
        description="whether pulls are recorded, and reported to the control plane",
    )
    pull_window: Duration = Field(
        default=timedelta(seconds=10),
        gt=timedelta(0),
        description="how long a client may pause between two requests of one pull, like `10s`",
    )
    events_max_bytes: Size = Field(
        default=256 << 20,
        description="how much disk pulls may take that the control plane has not stored yet, like `256MiB`;"
        " the oldest are dropped, and counted, when it is away for too long",
    )
    metrics_pull_labels: Annotated[str, AfterValidator(_pull_labels)] = Field(
        default="",
        description="what the metric of pulls tells apart beside organization and artifact: `customer`, `tag`"
        " or `customer,tag`",
    )
    metrics_pull_series: int = Field(
        default=2000,
        ge=1,
        le=1_000_000,
        description="how many combinations of labels the metric of pulls has; those that come later count as"
        " `other`",
    )
    drain_timeout: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(0),
        description="how long a node that is told to stop lets transfers finish, like `30s`",
    )
    tracing_endpoint: str = Field(default="", description=tracing.DESCRIPTION, repr=False)
    log_level: str = Field(default="info", description=f"what is logged: {', '.join(log.LEVELS)}")
    log_format: str = Field(default="console", description=f"how it is logged: {' or '.join(log.FORMATS)}")

    @classmethod
    def load(cls) -> Self:
        """Read the environment; raises ConfigurationError that names each variable which is wrong."""
        try:
            settings = cls()
        except ValidationError as error:
            # Values are left out: one may be a token.
            problems = [f"{_PREFIX}{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors()]
            raise ConfigurationError(f"Wrong settings: {'; '.join(problems)}.") from None
        settings.blob_directory(settings.data_dir)
        _ = settings.redirect_rule
        if settings.tls is not None:
            settings.tls.served()
        if settings.target.tls:
            settings.trust.certificates()
        settings.trust.check_use(settings.target)
        for field in ("registry_listen", "node_listen"):
            Address.parse(getattr(settings, field), f"{_PREFIX}{field.upper()}")
        return settings

    @property
    def target(self) -> Target:
        """Where the control plane is; raises ConfigurationError."""
        return Target.parse(self.address)

    @property
    def trust(self) -> Trust:
        """How to be sure of it; raises ConfigurationError."""
        return Trust.of(self.ca_file, self.server_name, self.client_certificate, self.client_key)

    @property
    def tls(self) -> KeyFiles | None:
        """What the registry's port shows; None where it speaks in clear. Raises ConfigurationError."""
        return KeyFiles.of("PENSTOCK_TLS", self.tls_certificate, self.tls_key)

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

    @property
    def bucket(self) -> Place | None:
        """The bucket that `blob_store` names; None where it names none. Raises ConfigurationError."""
        parts = urlsplit(self.blob_store)
        if parts.scheme != "s3":
            return None
        _check_url(self.s3_endpoint, "PENSTOCK_S3_ENDPOINT")
        if self.s3_ca_file is not None and not self.s3_ca_file.is_file():
            raise ConfigurationError(f"PENSTOCK_S3_CA_FILE is {self.s3_ca_file}: there is no such file.")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc) or parts.query:
            raise ConfigurationError(
                f"PENSTOCK_BLOB_STORE is {self.blob_store!r}: give a bucket, like s3://bucket/prefix."
            )
        return Place(parts.netloc, unquote(parts.path).strip("/"), self.s3_endpoint, self.s3_ca_file)

    @property
    def redirect_rule(self) -> Rule:
        """Which requests are redirected to the bucket; raises ConfigurationError."""
        rule = Rule.parse(self.s3_redirect, self.s3_redirect_except)
        _check_url(self.s3_public_endpoint, "PENSTOCK_S3_PUBLIC_ENDPOINT")
        if rule.above is not None and self.bucket is None:
            raise ConfigurationError(
                f"PENSTOCK_S3_REDIRECT is {self.s3_redirect!r}, but blobs are not in S3: set"
                " PENSTOCK_BLOB_STORE to a bucket, like s3://bucket/prefix."
            )
        return rule

    def blob_directory(self, data_dir: Path) -> Path:
        """Give the directory for blobs; raises ConfigurationError where `blob_store` cannot be used."""
        if not self.blob_store or self.bucket is not None:
            return data_dir / "blobs"
        parts = urlsplit(self.blob_store)
        path = Path(unquote(parts.path))
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not path.is_absolute():
            raise ConfigurationError(
                f"PENSTOCK_BLOB_STORE is {self.blob_store!r}: give a directory, like "
                "file:///var/lib/penstock/blobs, or a bucket, like s3://bucket/prefix."
            )
        return path


def _check_url(url: str, setting: str) -> None:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise ConfigurationError(f"{setting} is {url!r}: give a URL, like https://s3.example.com.")
