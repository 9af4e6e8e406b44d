"""What refers to manifests: from the control plane, and from disk while that is away."""

import asyncio
import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from clients.oci.digest import Digest
from clients.process.merge import Merge
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.disk import Disk
from dataplane.resolve.errors import ControlPlaneAway
from dataplane.resolve.witnesses import Witnesses


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest that names another one as its subject; size in bytes."""

    digest: str
    media_type: str
    size: int
    artifact_type: str
    annotations: dict[str, str] = field(default_factory=dict)


class ReferrerLists:
    """Gives the referrers of manifests.

    The control plane is asked each time, once for all who want to know at once: a signature may have been
    made a moment ago, and few clients look for one.
    """

    def __init__(self, control: ControlPlane, disk: Disk, witnesses: Witnesses) -> None:
        self._control = control
        self._disk = disk
        self._witnesses = witnesses
        self._asking: Merge[tuple[str, Digest], list[Referrer]] = Merge()

    async def get(self, artifact: ArtifactEntry, subject: Digest) -> list[Referrer]:
        """List what refers to a manifest of an artifact; raises Unknown, and UpstreamError.

        Whatever leads to the manifest leads to these as well.
        """
        listed = await self._asking.run((artifact.uid, subject), lambda: self._ask(artifact.uid, subject))
        digests = [Digest.parse(referrer.digest) for referrer in listed]
        self._witnesses.note(artifact.uid, digests, self._witnesses.of(artifact.uid, subject))
        return listed

    async def stop(self) -> None:
        """Give up what is being asked."""
        await self._asking.stop()

    async def _ask(self, artifact_uid: str, subject: Digest) -> list[Referrer]:
        name = f"{artifact_uid}{os.sep}referrers{os.sep}{subject}"
        try:
            answer = await self._control.referrers(artifact_uid, subject)
        except ControlPlaneAway:
            kept = await asyncio.to_thread(self._disk.read, name)
            referrers = None if kept is None else _decode(kept)
            if referrers is None:
                raise
            return referrers
        referrers = [
            Referrer(item.digest, item.media_type, item.size, item.artifact_type, dict(item.annotations))
            for item in answer
        ]
        # An empty list is kept as well: it is an answer while the control plane is away.
        encoded = json.dumps([asdict(referrer) for referrer in referrers]).encode()
        if await asyncio.to_thread(self._disk.read, name) != encoded:
            await asyncio.to_thread(self._disk.write, name, encoded)
        return referrers


def _decode(encoded: bytes) -> list[Referrer] | None:
    try:
        listed: list[dict[str, Any]] = json.loads(encoded)
        return [Referrer(**item) for item in listed]
    except (ValueError, TypeError):
        return None
