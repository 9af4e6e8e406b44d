"""Etags (AIP-154): what makes a change conditional on nobody having been quicker."""

import hashlib
import json
from datetime import UTC, datetime

from controlplane.api.errors import aborted


def etag(*content: str | int | bool | datetime) -> str:
    """Give the tag of a resource with this content; a weak one: it says nothing of single bytes."""
    # JSON writes a value alike, whether it was just made or read from the database.
    digest = hashlib.sha256(json.dumps(content, default=_text).encode()).hexdigest()
    return f'W/"{digest[:16]}"'


def check_etag(given: str, current: str, name: str) -> None:
    """Raise ApiError ABORTED when an etag was given and is not the current one."""
    if given and given != current:
        raise aborted(
            "ETAG_MISMATCH",
            f"{name} was changed meanwhile: read it again, and repeat the change.",
            etag=current,
        )


def check_unchanged(now: object, before: object, name: str) -> None:
    """Raise ApiError ABORTED when what a change was tried with is not what is there any more."""
    if now != before:
        raise aborted(
            "CHANGED_MEANWHILE",
            f"{name} was changed while this change was tried: read it again, and repeat the change.",
        )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
