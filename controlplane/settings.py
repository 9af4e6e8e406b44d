"""The control plane's settings: environment variables, to one frozen value."""

import os
from datetime import UTC, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from clients.process import cleartext, log, tracing
from clients.process.exits import ConfigurationError
from clients.process.place import DEFAULT_DATA_DIR
from clients.process.proxies import TRUSTED_PROXIES_DESCRIPTION, Proxies
from clients.process.quantities import Duration
from clients.process.tls import KeyFiles
from controlplane.analytics.measures import LABELS, split_labels
from controlplane.sync.cron import parse_time_zone
from controlplane.sync.hosts import PARALLEL, SHARE
from controlplane.sync.limits import Limits
from controlplane.sync.schedule import Schedule

_PREFIX: Final = "PENSTOCK_"
_CRON: Final = "REGISTRY_UPSTREAM_SYNC_CRON"


def _cron(text: str) -> str:
    # The zone makes no difference to what is well formed.
    return Schedule(text.strip(), UTC).expression


def _time_zone(name: str) -> str:
    parse_time_zone(name)
    return name


def _pull_labels(text: str) -> str:
    unknown = set(split_labels(text)) - set(LABELS)
    if unknown:
        raise ValueError(f"{min(unknown)!r} is none of {', '.join(LABELS)}")
    return text


class Settings(BaseSettings):
    """What the environment says; each field's description is its line in the README's table."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, env_ignore_empty=True, populate_by_name=True, extra="ignore"
    )

    data_dir: Path = Field(
        default=DEFAULT_DATA_DIR, description="where everything is kept; deleting it resets the system"
    )
    grpc_listen: str = Field(default="127.0.0.1:8081", description="address of the gRPC API")
    http_listen: str = Field(
        default="127.0.0.1:8082", description="address of the control plane's health, metrics and REST routes"
    )
    controlplane_tls_certificate: Path | None = Field(
        default=None,
        description="PEM file with a certificate and those that signed it: the gRPC API and the HTTP port"
        " then speak TLS, and nothing else",
    )
    controlplane_tls_key: Path | None = Field(
        default=None, description="PEM file with the key of that certificate"
    )
    controlplane_tls_client_ca: Path | None = Field(
        default=None,
        description="PEM file with the certificates of who signs those of clients: whoever calls the API must"
        " show one then, beside the token",
    )
    trusted_proxies: str = Field(default="", description=TRUSTED_PROXIES_DESCRIPTION)
    database_url: str = Field(
        default="",
        description="`sqlite:///path` or `postgresql://user:password@host/name`; without it,"
        " `controlplane.db` in the data directory",
        repr=False,
    )
    encryption_keys: SecretStr = Field(
        default=SecretStr(""),
        description="keys that upstream secrets are encrypted with, each 32 bytes in base64, newest first,"
        " with commas between; without it, they are in a file",
    )
    encryption_key_file: Path | None = Field(
        default=None,
        description="the file of these keys, one a line, newest first; made where it is missing. By default,"
        " `encryption-keys` in the data directory",
    )
    allow_private_upstreams: bool = Field(
        default=False, description="lets upstreams be at loopback, link-local or private addresses"
    )
    allow_cleartext: bool = Field(default=False, description=cleartext.DESCRIPTION)
    redis_url: str = Field(
        default="",
        description="`redis://host:6379/0` for the locks of sync, when several control planes share a"
        " database, and for the turns of nodes that share a bucket; without it, they are rows of the"
        " database, and objects in the bucket",
        repr=False,
    )
    sync_cron: Annotated[str, AfterValidator(_cron)] = Field(
        default="15,45 * * * *",
        validation_alias=_CRON,
        description="when artifacts are synced that have no schedule of their own: five cron fields, a name"
        " like `@hourly`, or `@every 90s`; empty for never. Each artifact has its own moment, up to ten"
        " minutes (and half of the time until the next) later",
    )
    time_zone: Annotated[str, AfterValidator(_time_zone)] = Field(
        default="UTC", description="time zone of all schedules, like `Europe/Berlin`"
    )
    sync_parallel: int = Field(
        default=8, ge=1, le=1000, description="artifacts that one control plane syncs at once"
    )
    sync_parallel_per_host: int = Field(
        default=4, ge=1, le=1000, description="of these, artifacts of one upstream host"
    )
    sync_requests_per_host: int = Field(
        default=PARALLEL,
        ge=1,
        le=1000,
        description="requests that all syncs of one control plane make to one upstream host at once",
    )
    sync_rate_share: float = Field(
        default=SHARE,
        ge=0,
        le=1,
        description="scheduled syncs leave an upstream alone when it says (`RateLimit-Remaining`) that less"
        " than this share of its limit is left, so that pulls get the rest",
    )
    sync_lease: Duration = Field(
        default=timedelta(seconds=20),
        ge=timedelta(seconds=1),
        le=timedelta(seconds=50),
        description="a sync whose control plane is not heard of for so long is taken up by another",
    )
    sync_job_retention: Duration = Field(
        default=timedelta(days=7),
        ge=timedelta(0),
        description="how long ended sync jobs are kept; the last one of each artifact always is",
    )
    audit_retention: Duration = Field(
        default=timedelta(days=400),
        ge=timedelta(days=1),
        le=timedelta(days=3650),
        description="how long it is kept who changed what",
    )
    pull_retention: Duration = Field(
        default=timedelta(days=90),
        ge=timedelta(days=1),
        le=timedelta(days=3650),
        description="how long each pull is kept, and the sums of hours and users",
    )
    pull_sum_retention: Duration = Field(
        default=timedelta(days=1100),
        ge=timedelta(days=1),
        le=timedelta(days=36500),
        description="how long the daily sums of artifacts, tags and customers are kept; at least as long as"
        " pulls",
    )
    metrics_token: SecretStr = Field(
        default=SecretStr(""),
        description="the token that Prometheus shows for `/metrics` (`Authorization: Bearer`); without it, it"
        " is for everybody who reaches the address",
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
    tag_history_retention: Duration = Field(
        default=timedelta(days=365),
        ge=timedelta(0),
        description="how long it is kept which digests a tag had before, once it has them no more",
    )
    sync_timeout: Duration = Field(
        default=timedelta(minutes=10),
        gt=timedelta(0),
        validation_alias="REGISTRY_UPSTREAM_SYNC_TIMEOUT",
        description="the longest that the sync of one artifact may take, like `10m` or `1h30m`",
    )
    tracing_endpoint: str = Field(default="", description=tracing.DESCRIPTION, repr=False)
    log_level: str = Field(default="info", description=f"what is logged: {', '.join(log.LEVELS)}")
    log_format: str = Field(default="console", description=f"how it is logged: {' or '.join(log.FORMATS)}")

    @model_validator(mode="before")
    @classmethod
    def _empty_is_off(cls, given: dict[str, Any]) -> dict[str, Any]:
        # Elsewhere an empty variable is one that is not set.
        set_to_nothing = os.environ.get(_CRON) == ""
        return given if {"sync_cron", _CRON} & given.keys() or not set_to_nothing else given | {_CRON: ""}

    @property
    def tls(self) -> KeyFiles | None:
        """What both ports show; None where they speak in clear. Raises ConfigurationError."""
        return KeyFiles.of(
            "PENSTOCK_CONTROLPLANE_TLS",
            self.controlplane_tls_certificate,
            self.controlplane_tls_key,
            self.controlplane_tls_client_ca,
        )

    @property
    def proxies(self) -> Proxies:
        """Who is believed whom calls are from. Raises ConfigurationError."""
        return Proxies.parse(self.trusted_proxies)

    @property
    def schedule(self) -> Schedule:
        """The installation's schedule of sync."""
        return Schedule(self.sync_cron, parse_time_zone(self.time_zone))

    @property
    def sync_limits(self) -> Limits:
        """What bounds the syncs of this process."""
        return Limits(
            timeout=self.sync_timeout,
            lease=self.sync_lease,
            retention=self.sync_job_retention,
            tag_history=self.tag_history_retention,
            parallel=self.sync_parallel,
            parallel_per_host=self.sync_parallel_per_host,
        )

    @property
    def exposed(self) -> list[str]:
        """Sentences about what others could read, but where nobody minds."""
        warnings = (
            cleartext.warning(getattr(self, field), variable(field))
            for field in ("redis_url", "tracing_endpoint")
        )
        return [warning for warning in warnings if warning and not self.allow_cleartext]

    @classmethod
    def load(cls) -> Self:
        """Read the environment; raises ConfigurationError that names each variable which is wrong."""
        try:
            return cls()
        except ValidationError as error:
            # Values are left out: one may hold a password.
            problems = [
                f"{variable(str(item['loc'][0]))}: {item['msg'].removeprefix('Value error, ').rstrip('.')}"
                for item in error.errors()
            ]
            raise ConfigurationError(f"Wrong settings: {'; '.join(problems)}.") from None


def variable(field: str) -> str:
    """Name the environment variable that sets a field, given by its name or alias."""
    found = Settings.model_fields.get(field)
    if found is None:
        return field
    alias = found.validation_alias
    return alias if isinstance(alias, str) else f"{_PREFIX}{field.upper()}"
