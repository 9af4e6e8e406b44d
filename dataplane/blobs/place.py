"""Where a bucket is, as settings say it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bucket is; credentials come from the environment, as all AWS tools take them."""

    bucket: str
    prefix: str = ""
    """What the keys begin with, without a slash at the end."""
    endpoint: str = ""
    """Base URL of a server that is not Amazon's; the bucket is then a part of the path."""
    ca_file: Path | None = None
    """Certificates to trust in place of the usual ones."""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"
