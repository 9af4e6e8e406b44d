"""Settings of where blobs are kept, and how much of them; see `dataplane.settings`."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field
from pydantic_settings import BaseSettings

from clients.process.exits import ConfigurationError
from clients.process.quantities import Duration, Size
from dataplane.blobs.place import Place
from dataplane.http.redirect_rule import RedirectRule

# What a wrong setting should be instead.
_STORE: Final = "a directory, like file:///var/lib/penstock/blobs, or a bucket, like s3://bucket/prefix"
_URL: Final = "a URL, like https://s3.example.com"


class StoreSettings(BaseSettings):
    """The part of a node's settings that is about the store, and the bucket behind it."""

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

    @property
    def bucket(self) -> Place | None:
        """The bucket that `blob_store` names; None where it names none. Raises ConfigurationError."""
        parts = _parts(self.blob_store, "PENSTOCK_BLOB_STORE", _STORE)
        if parts.scheme != "s3":
            return None
        _check_url(self.s3_endpoint, "PENSTOCK_S3_ENDPOINT")
        if self.s3_ca_file is not None and not self.s3_ca_file.is_file():
            raise ConfigurationError(f"PENSTOCK_S3_CA_FILE is {self.s3_ca_file}: there is no such file.")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc) or parts.query:
            raise _wrong(self.blob_store, "PENSTOCK_BLOB_STORE", "a bucket, like s3://bucket/prefix")
        return Place(parts.netloc, unquote(parts.path).strip("/"), self.s3_endpoint, self.s3_ca_file)

    @property
    def redirect_rule(self) -> RedirectRule:
        """Which requests are redirected to the bucket; raises ConfigurationError."""
        rule = RedirectRule.parse(self.s3_redirect, self.s3_redirect_except)
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
        parts = _parts(self.blob_store, "PENSTOCK_BLOB_STORE", _STORE)
        path = Path(unquote(parts.path))
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not path.is_absolute():
            raise _wrong(self.blob_store, "PENSTOCK_BLOB_STORE", _STORE)
        return path


def _parts(url: str, setting: str, give: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        # Looked at, since only that finds out what is wrong with it.
        _ = parts.port
    except ValueError:
        raise _wrong(url, setting, give) from None
    if "@" in parts.netloc:
        # Nodes would put it into URLs that they show to others.
        raise _wrong(url, setting, give)
    return parts


def _check_url(url: str, setting: str) -> None:
    parts = _parts(url, setting, _URL)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise _wrong(url, setting, _URL)


def _wrong(value: str, setting: str, give: str) -> ConfigurationError:
    if "@" not in value:
        return ConfigurationError(f"{setting} is {value!r}: give {give}.")
    # Not shown: who reads the sentence need not know the key.
    return ConfigurationError(
        f"{setting} has a user or a key in it, and is not shown: give {give}, and keys for S3 as"
        " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )
