"""How a fetch ended, in a form that one process writes and others read."""

from collections.abc import Mapping
from typing import Any, Final

from clients.oci.errors import (
    ForbiddenAddress,
    UpstreamBroken,
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from dataplane.blobs.errors import BlobFailed, Fault, NotSpooled

Failure = UpstreamError | BlobFailed

_UPSTREAM: Final[tuple[type[UpstreamError], ...]] = (
    # Subclasses before what they are a kind of.
    ForbiddenAddress,
    UpstreamBroken,
    UpstreamUnavailable,
    UpstreamDenied,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamInvalid,
)
# Bytes of a sentence, and of a host: with all that JSON adds, both are a part of a record of 4 KiB.
_LONGEST: Final = 1000


def written(failure: Failure) -> dict[str, Any]:
    """Put a failure into JSON's terms, with a sentence of bounded length."""
    sentence = _short(str(failure))
    if isinstance(failure, NotSpooled):
        return {"kind": "NotSpooled", "sentence": sentence}
    if isinstance(failure, BlobFailed):
        return {"kind": failure.fault.value, "sentence": sentence}
    kind = next((known for known in _UPSTREAM if isinstance(failure, known)), UpstreamUnavailable)
    return {
        "kind": kind.__name__,
        "sentence": sentence,
        "host": _short(failure.host),
        "retry_after": failure.retry_after,
    }


def read(fields: Mapping[str, Any]) -> Failure:
    """Make a failure of the same class, of what `written` gave; of what it did not, a fault of the node."""
    try:
        return _read(fields)
    except (KeyError, ValueError):
        # A process of another version, about to take the place of this one or the other way round.
        return BlobFailed(Fault.NODE, "The fetch failed, as another process of this node found: pull again.")


def _read(fields: Mapping[str, Any]) -> Failure:
    kind, sentence = fields["kind"], fields["sentence"]
    if kind == "NotSpooled":
        return NotSpooled(sentence)
    for known in _UPSTREAM:
        if kind == known.__name__:
            return known(fields["host"], sentence, retry_after=fields["retry_after"])
    return BlobFailed(Fault(kind), sentence)


def _short(text: str) -> str:
    return text.encode(errors="replace")[:_LONGEST].decode(errors="ignore")
