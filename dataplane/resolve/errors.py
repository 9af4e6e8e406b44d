"""What can go wrong when something is resolved, beside an UpstreamError."""

from enum import StrEnum

from clients.oci.errors import UpstreamUnavailable


class Missing(StrEnum):
    """What there is not."""

    ARTIFACT = "ARTIFACT"
    MANIFEST = "MANIFEST"
    BLOB = "BLOB"


class Unknown(Exception):
    """Neither the control plane nor the upstream has it."""

    def __init__(self, missing: Missing) -> None:
        super().__init__(f"no such {missing.value.lower()}")
        self.missing = missing


class ControlPlaneAway(UpstreamUnavailable):
    """The control plane, which speaks with upstreams for its nodes, cannot be asked now."""

    def __init__(self, sentence: str, *, retry_after: float | None = None) -> None:
        super().__init__("the control plane", sentence, retry_after=retry_after)


class ControlPlaneSilent(ControlPlaneAway):
    """It was asked and did not answer in time: asking again would only take as long again."""
