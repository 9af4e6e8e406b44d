"""What goes wrong behind the registry, as its clients are told: one table."""

from typing import Final

from clients.oci.errors import (
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.http.errors import Code, Refusal
from dataplane.resolve.errors import Missing, Unknown

Failure = Unknown | UpstreamError | BlobFailed
FAILURES: Final = (Unknown, UpstreamError, BlobFailed)
"""What `refusal` takes, for `except`."""

_MISSING: Final = {
    Missing.ARTIFACT: (Code.NAME_UNKNOWN, "There is no such repository here."),
    Missing.MANIFEST: (Code.MANIFEST_UNKNOWN, "The repository has no such manifest."),
    Missing.BLOB: (Code.BLOB_UNKNOWN, "No manifest of the repository has this blob."),
}
_UPSTREAM: Final[tuple[tuple[type[UpstreamError], Code], ...]] = (
    (UpstreamUnavailable, Code.UNAVAILABLE),
    (UpstreamRateLimited, Code.TOOMANYREQUESTS),
    (UpstreamDenied, Code.UPSTREAM_DENIED),
    # Said of a blob that a manifest reaches: the upstream itself no longer has it.
    (UpstreamNotFound, Code.BLOB_UNKNOWN),
    (UpstreamInvalid, Code.UPSTREAM_INVALID),
)
_FAULTS: Final = {
    Fault.DIGEST: Code.UPSTREAM_INVALID,
    Fault.SIZE: Code.UPSTREAM_INVALID,
    Fault.RANGE: Code.UPSTREAM_INVALID,
    Fault.NODE: Code.UNAVAILABLE,
    Fault.STOPPED: Code.UNAVAILABLE,
}


def unknown(missing: Missing) -> Refusal:
    """Make the one answer to requests for what is not there, or not for this principal."""
    return Refusal(*_MISSING[missing])


def refusal(failure: Failure) -> Refusal:
    """Say what a failure means for the client. A refused upstream credential is never 401."""
    if isinstance(failure, Unknown):
        return unknown(failure.missing)
    if isinstance(failure, BlobFailed):
        return Refusal(_FAULTS[failure.fault], str(failure))
    for kind, code in _UPSTREAM:
        if isinstance(failure, kind):
            return Refusal(code, str(failure), retry_after=failure.retry_after)
    return Refusal(Code.UNKNOWN, str(failure))
