"""The data plane's settings: environment variables, to one frozen value."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from clients.process import log
from clients.process.duration import parse_duration
from clients.process.exits import ConfigurationError
from clients.process.place import DEFAULT_DATA_DIR

_PREFIX: Final = "PENSTOCK_"
_SIZE = re.compile(r"([0-9]{1,15}) ?(B|KiB|MiB|GiB|TiB)?", re.ASCII)
_UNITS: Final = {None: 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no size: give bytes, or like 20GiB (KiB, MiB, GiB, TiB)")
    return int(match[1]) << _UNITS[match[2]]


Duration = Annotated[timedelta, BeforeValidator(_duration)]
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
    node_listen: str = Field(default="127.0.0.1:8083", description="address of a node's health and metrics")
    address: str = Field(default="127.0.0.1:8081", description="where the control plane's gRPC API is")
    node_token: SecretStr = Field(
        default=SecretStr(""),
        description="the token that admits a node to the control plane; without it, the file `node-token` in"
        " the data directory is read, and waited for",
    )
    blob_store: str = Field(
        default="",
        description="where blobs are kept, `file:///path`; without it, `blobs` in the data directory",
    )
    cache_max_bytes: Size = Field(
        default=50 << 30,
        description="how much room the cached blobs may take, in bytes or like `20GiB`; 0 for no limit",
    )
    manifest_memory_max_bytes: Size = Field(
        default=64 << 20,
        description="how much memory resolved manifests and tags may take, like `64MiB`",
    )
    manifest_disk_max_bytes: Size = Field(
        default=512 << 20,
        description="how much disk resolved manifests and tags may take, like `512MiB`",
    )
    drain_timeout: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(0),
        description="how long a node that is told to stop lets transfers finish, like `30s`",
    )
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
        return settings

    def blob_directory(self, data_dir: Path) -> Path:
        """Give the directory that `blob_store` names; raises ConfigurationError where it names none."""
        if not self.blob_store:
            return data_dir / "blobs"
        parts = urlsplit(self.blob_store)
        path = Path(unquote(parts.path))
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not path.is_absolute():
            raise ConfigurationError(
                f"PENSTOCK_BLOB_STORE is {self.blob_store!r}: give a directory, like file:///var/lib/penstock/blobs."
            )
        return path
