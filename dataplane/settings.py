"""The data plane's settings: environment variables, to one frozen value."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from clients.control.target import Target
from clients.control.trust import Trust
from clients.process import cleartext, log, tracing
from clients.process.exits import ConfigurationError
from clients.process.listen import Address
from clients.process.place import DEFAULT_DATA_DIR
from clients.process.quantities import Count, Duration, Size
from dataplane.blobs.settings import StoreSettings
from dataplane.events.measures import LABELS
from dataplane.http.settings import ServerSettings

_PREFIX: Final = "PENSTOCK_"


def _pull_labels(value: str) -> str:
    more = [label.strip() for label in value.split(",") if label.strip()]
    if not set(more) <= set(LABELS[2:]):
        raise ValueError("give customer, tag or customer,tag")
    return ",".join(more)


class Settings(StoreSettings, ServerSettings):
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
    allow_cleartext: bool = Field(default=False, description=cleartext.DESCRIPTION)
    node_token: SecretStr = Field(
        default=SecretStr(""),
        description="the token that admits a node to the control plane; without it, the file `node-token` in"
        " the data directory is read, and waited for",
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
    workers: Count = Field(
        default=0,
        le=256,
        description="how many processes serve the registry together; 0 for one a processor core",
    )
    worker_timeout: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(0),
        description="after how long a worker that does nothing any more, as it hangs or was stopped, is"
        " killed and replaced, like `30s`; 0 for never. A node of one process ends, to be started again",
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
            problems = [
                f"{_PREFIX}{str(item['loc'][0]).upper()}:"
                f" {item['msg'].removeprefix('Value error, ').rstrip('.')}"
                for item in error.errors()
            ]
            raise ConfigurationError(f"Wrong settings: {'; '.join(problems)}.") from None
        settings.blob_directory(settings.data_dir)
        _ = settings.redirect_rule, settings.proxies
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
    def exposed(self) -> list[str]:
        """Sentences about what others could read, but where nobody minds."""
        if self.allow_cleartext:
            return []
        target = self.target
        return [
            sentence
            for sentence in (
                target.warning if target.is_exposed else "",
                cleartext.warning(self.redis_url, f"{_PREFIX}REDIS_URL"),
                cleartext.warning(self.tracing_endpoint, f"{_PREFIX}TRACING_ENDPOINT"),
            )
            if sentence
        ]
