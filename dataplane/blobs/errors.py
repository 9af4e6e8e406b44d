"""Why a reader does not get a blob, where the upstream itself did not say so with an UpstreamError."""

from enum import StrEnum


class Fault(StrEnum):
    """What was wrong, for those who choose a status by it."""

    DIGEST = "DIGEST"
    """The upstream's bytes are not those that the digest names."""
    SIZE = "SIZE"
    """The upstream's blob has another size than the manifest says."""
    RANGE = "RANGE"
    """The upstream answered with another part of the blob than was asked for."""
    NODE = "NODE"
    """Something failed in this node; its disk, mostly."""
    STOPPED = "STOPPED"
    """This node is stopping."""


class BlobFailed(Exception):
    """A blob cannot be read, or not to its end; `str()` is one sentence for users."""

    def __init__(self, fault: Fault, sentence: str) -> None:
        super().__init__(sentence)
        self.fault = fault


class NotSpooled(BlobFailed):
    """This node's disk cannot take the blob; whoever reads it gets the rest past the disk."""

    def __init__(self, sentence: str) -> None:
        super().__init__(Fault.NODE, sentence)


class NotRanged(BlobFailed):
    """The upstream would give a part only after all that comes before it, which is being fetched already."""

    def __init__(self, sentence: str) -> None:
        super().__init__(Fault.RANGE, sentence)


def out_of_descriptors() -> BlobFailed:
    """Make the failure for when no file can be opened, by whatever way."""
    return BlobFailed(Fault.NODE, "This node has no file descriptor left for the blob: pull again.")
