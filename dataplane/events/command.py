"""What a client seems to be doing: one command, as far as its requests have told."""

from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from dataplane.events.event import Event
from dataplane.events.records import Client, Outline, Record

# Programs that both copy and look: only what they take tells which. By how their User-Agent begins.
_LOOKERS: Final = (
    "skopeo/",
    "crane/",
    "go-containerregistry/",
    "gcrane/",
    "oras/",
    "regclient/",
    "Docker-Client/",
    "Renovate",
    "flux",
    "diun/",
    "Watchtower",
    "argocd-image-updater",
    "keel",
)
_NOWHERE: Final = "unknown/unknown"


class Part:
    """Bits of what is known of a blob that belongs to a command: numbers, for every record reads some."""

    NONE: Final = 0
    CONFIG: Final = 1
    ASKED: Final = 2
    COLD: Final = 4
    DONE: Final = 8


@dataclass(slots=True)
class Command:
    """A pull or check that may still go on; changed by `Fold` alone. Times in seconds since the epoch."""

    id: str
    client: Client
    agent: str
    began: float
    touched: float
    """When its last request was."""
    digest: str
    tag: str = ""
    got: float = 0.0
    """When what the reference stands for was last sent; 0 for never."""
    bytes: int = 0
    redirected: int = 0
    """Bytes that the client was sent elsewhere for."""
    children: dict[str, str] = field(default_factory=dict)
    """Platforms of an index, by digest."""
    taken: dict[str, float] = field(default_factory=dict)
    """When these children were last sent."""
    blobs: dict[str, int] = field(default_factory=dict)
    """Parts, by `short` digest, of the manifests that were taken."""
    ends: dict[str, float] = field(default_factory=dict)
    """When these blobs were sent whole."""
    guesses: list[str] = field(default_factory=list)
    """Manifests that it can be about, where only blobs were asked for."""
    cut: bool = False
    """Whether more belongs to it than its manifests were told to name."""

    @property
    def names(self) -> int:
        """How many digests it keeps: what it takes of memory."""
        return len(self.children) + len(self.taken) + len(self.blobs) + len(self.ends)

    @property
    def used(self) -> bool:
        """Whether anything was sent."""
        return bool(self.got or self.taken or self.ends) or any(
            flags & Part.ASKED for flags in self.blobs.values()
        )

    @property
    def unfinished(self) -> bool:
        """Whether a blob was asked for that was not sent whole."""
        return any(flags & Part.ASKED and not flags & Part.DONE for flags in self.blobs.values())

    def learn(self, outline: Outline) -> None:
        """Note what belongs to it."""
        for digest, platform in outline.children:
            self.children.setdefault(digest, platform)
        for position, blob in enumerate(outline.blobs):
            self.blobs.setdefault(blob, Part.NONE if position else Part.CONFIG)
        self.cut = self.cut or outline.cut

    def begin(self, record: Record, blob: str) -> None:
        """Note that a blob is asked for, by `short` of the record's digest."""
        flags = self.blobs.get(blob, Part.NONE)
        if not flags & Part.ASKED and not record.warm:
            flags |= Part.COLD
        self.blobs[blob] = (flags | Part.ASKED) & ~Part.DONE

    def end(self, record: Record, blob: str) -> None:
        """Note how a transfer of that blob ended."""
        self.bytes += record.bytes
        self.redirected += record.redirected
        if record.whole:
            self.blobs[blob] = self.blobs.get(blob, Part.NONE) | Part.ASKED | Part.DONE
            self.ends[blob] = record.last

    def shift(self, seconds: float) -> None:
        """Move all its times by what the clock was set."""
        self.began += seconds
        self.touched += seconds
        self.got += seconds if self.got else 0.0
        self.taken = {digest: at + seconds if at else at for digest, at in self.taken.items()}
        self.ends = {blob: at + seconds for blob, at in self.ends.items()}

    def event(self) -> Event:
        """Give what it comes to."""
        asked = [flags for flags in self.blobs.values() if flags & Part.ASKED]
        layers = any(not flags & Part.CONFIG for flags in asked)
        platforms = [digest for digest in self.taken if self.children.get(digest, "") != _NOWHERE]
        child = platforms[0] if len(platforms) == 1 and self.children else ""
        cold = sum(bool(flags & Part.COLD) for flags in asked)
        return Event(
            id=self.id,
            time=self.began,
            is_pull=self.used and (layers or not self.agent.startswith(_LOOKERS)),
            organization_uid=self.client.organization_uid,
            artifact_uid=self.client.artifact_uid,
            customer_uid=self.client.customer_uid,
            user_uid=self.client.user_uid,
            token_uid=self.client.token_uid,
            tag=self.tag,
            digest=self.digest,
            platform=self.children.get(child, ""),
            platform_digest=child,
            address=self.client.address,
            client=self.agent,
            bytes_sent=self.bytes,
            warm_blobs=len(asked) - cold,
            cold_blobs=cold,
            completed=not self.unfinished,
            bytes_redirected=self.redirected,
        )

    def state(self) -> dict[str, Any]:
        """Give what `restore` takes, as JSON knows it."""
        # Not `asdict`, which copies all that JSON is going to copy anyway.
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        """Make one of what JSON leaves of its state; raises TypeError for one of another version."""
        return cls(**(state | {"client": Client(*state["client"])}))


_FIELDS: Final = tuple(each.name for each in fields(Command))
