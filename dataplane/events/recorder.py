"""What each worker notes of the requests that it answers; everything but a look-up happens in batches."""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Final

from clients.oci.digest import Digest
from dataplane.access.principal import Principal
from dataplane.config.configuration import ArtifactEntry
from dataplane.events.records import NOTHING, Kind, Outline, Record, short
from dataplane.events.requests import AGAIN, Run, Transfer, client_of
from dataplane.resolve.manifest import ResolvedManifest
from dataplane.resolve.memory import Memory

INTERVAL: Final = 0.2
"""Seconds from a request to its record, at most."""

# Seconds between two words of a transfer that goes on.
_ALIVE: Final = 1.0
_OUTLINES: Final = 2 << 20
_ENTRY_BYTES: Final = 512
# Manifests, and blobs, that are told of one that names very many.
_MOST_NAMES: Final = 1000

Ended = Callable[[int], None]
"""To be called once, with the bytes of the body that were sent."""


class Recorder:
    """Notes requests and, while it runs, gives them to `deliver` several times a second.

    `clock` gives seconds since the epoch.
    """

    def __init__(
        self, deliver: Callable[[list[Record]], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._deliver = deliver
        self._clock = clock
        self._runs: dict[Hashable, Run] = {}
        # Runs that another one of the same request follows.
        self._past: list[Run] = []
        self._transfers: list[Transfer] = []
        self._outlines: Memory[str, Outline] = Memory(_OUTLINES)

    def again(self, key: Hashable, principal: Principal, manifest: ResolvedManifest, now: float) -> bool:
        """Note a request that `manifest` noted under this key moments ago; False where it has to do so now.

        On the fast path of every pull.
        """
        run = self._runs.get(key)
        if run is None or now > run.until or run.manifest is not manifest or run.principal is not principal:
            return False
        run.until = now + AGAIN
        run.count += 1
        return True

    def manifest(
        self,
        key: Hashable,
        principal: Principal,
        artifact: ArtifactEntry,
        address: str,
        agent: str,
        reference: str | Digest,
        manifest: ResolvedManifest,
        now: float,
        *,
        sent: bool,
    ) -> None:
        """Note that a manifest was given, and whether its content was.

        Requests have the same `key` only if all the rest is the same, but for the two that `again` compares.
        """
        run = self._runs.get(key)
        if run is not None:
            self._past.append(run)
        tag = reference if isinstance(reference, str) else ""
        self._runs[key] = Run(principal, artifact, address, agent, tag, manifest, now, sent)

    def blob(
        self,
        principal: Principal,
        artifact: ArtifactEntry,
        address: str,
        agent: str,
        digest: Digest,
        length: int,
        now: float,
        *,
        warm: bool,
        part: bool = False,
        redirected: int = 0,
    ) -> Ended:
        """Note that so many bytes of a blob are asked for, `part` if not all; gives what ends that.

        `redirected` are those that the client is sent elsewhere for.
        """
        client = client_of(principal, artifact, address)
        transfer = Transfer(self._clock, client, agent, str(digest), length, now, warm, part, redirected)
        self._transfers.append(transfer)
        return transfer.end

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            self.flush()

    def flush(self) -> None:
        """Deliver what there is."""
        records = list(self._records(self._clock()))
        if records:
            self._deliver(records)

    def _records(self, now: float) -> Iterator[Record]:
        for run in (*self._past, *self._runs.values()):
            yield run.record(self._outline(run.manifest))
        self._past.clear()
        self._runs.clear()
        transfers, self._transfers = self._transfers, []
        for transfer in transfers:
            if transfer.ended:
                kind, at = (Kind.END, transfer.ended) if transfer.told else (Kind.SENT, transfer.began)
                yield transfer.record(kind, at, transfer.ended)
                continue
            self._transfers.append(transfer)
            if not transfer.told:
                transfer.told = now
                yield transfer.record(Kind.BEGIN, transfer.began, transfer.began)
            elif not 0 <= now - transfer.told < _ALIVE:
                transfer.told = now
                yield transfer.record(Kind.RUN, now, now)

    def _outline(self, manifest: ResolvedManifest) -> Outline:
        key = manifest.digest.encoded
        outline = self._outlines.get(key)
        if outline is None:
            outline = _outline(manifest)
            self._outlines.put(key, outline, len(manifest.content) + _ENTRY_BYTES)
        return outline


def _outline(manifest: ResolvedManifest) -> Outline:
    parsed = manifest.parsed()
    if parsed is None:
        # Its parts are then told apart by time alone.
        return NOTHING
    return Outline(
        tuple((str(child.digest), child.platform) for child in parsed.manifests[:_MOST_NAMES]),
        tuple(short(str(blob.digest)) for blob in parsed.blobs[:_MOST_NAMES]),
        cut=max(len(parsed.manifests), len(parsed.blobs)) > _MOST_NAMES,
    )
