"""The control plane's settings: environment variables, to one frozen value."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from clients.process import log
from clients.process.duration import parse_duration
from clients.process.exits import ConfigurationError
from clients.process.place import DEFAULT_DATA_DIR

_PREFIX: Final = "PENSTOCK_"


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]


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
    database_url: str = Field(
        default="",
        description="`sqlite:///path` or `postgresql://user:password@host/name`; without it,"
        " `controlplane.db` in the data directory",
        repr=False,
    )
    allow_private_upstreams: bool = Field(
        default=False, description="lets upstreams be at loopback, link-local or private addresses"
    )
    sync_timeout: Duration = Field(
        default=timedelta(minutes=10),
        gt=timedelta(0),
        validation_alias="REGISTRY_UPSTREAM_SYNC_TIMEOUT",
        description="the longest that the sync of one artifact may take, like `10m` or `1h30m`",
    )
    log_level: str = Field(default="info", description=f"what is logged: {', '.join(log.LEVELS)}")
    log_format: str = Field(default="console", description=f"how it is logged: {' or '.join(log.FORMATS)}")

    @classmethod
    def load(cls) -> Self:
        """Read the environment; raises ConfigurationError that names each variable which is wrong."""
        try:
            return cls()
        except ValidationError as error:
            # Values are left out: one may hold a password.
            problems = [f"{variable(str(item['loc'][0]))}: {item['msg']}" for item in error.errors()]
            raise ConfigurationError(f"Wrong settings: {'; '.join(problems)}.") from None


def variable(field: str) -> str:
    """Name the environment variable that sets a field, given by its name or alias."""
    found = Settings.model_fields.get(field)
    if found is None:
        return field
    alias = found.validation_alias
    return alias if isinstance(alias, str) else f"{_PREFIX}{field.upper()}"
