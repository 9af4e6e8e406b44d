"""What a request names and the catalog, the upstream asked, does not have."""

from enum import StrEnum


class UnknownReason(StrEnum):
    """What there is none of; the values are ErrorInfo reasons of the API."""

    ARTIFACT = "ARTIFACT_UNKNOWN"
    MANIFEST = "MANIFEST_UNKNOWN"
    BLOB = "BLOB_UNKNOWN"


class Unknown(LookupError):
    """There is no such artifact, or it has no such manifest or blob; `str()` is one sentence for users."""

    def __init__(self, reason: UnknownReason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
