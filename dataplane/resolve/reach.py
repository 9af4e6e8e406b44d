"""May somebody who may have certain tags only have this digest? Witnesses first, then the control plane."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from clients.oci.digest import Digest
from clients.process.merge import Merge
from dataplane.access.rules import Rules
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.errors import ControlPlaneAway, Missing, Unknown
from dataplane.resolve.manifests import Manifests
from dataplane.resolve.members import Members
from dataplane.resolve.memory import Memory
from dataplane.resolve.witnesses import Witness, Witnesses

FLOOR: Final = 0.1
"""Seconds before which no digest is refused: longer than the control plane takes to look for it."""

_ENTRY_BYTES: Final = 512

# Of what was vouched for, until all of it is forgotten: what is in use is soon there again.
_MOST_VOUCHED: Final = 4096

_Key = tuple[Rules, str, Digest, Missing]


class Reach:
    """Decides about digests, for those who may not have everything of an artifact.

    What is refused is remembered for all with the same rules until the artifact's content changes, and is not
    looked for anywhere. `max_bytes` bounds that memory. A refusal takes a multiple of `floor` seconds: the
    time that it takes does not tell what exists from what does not. `clock` counts seconds.
    """

    def __init__(
        self,
        control: ControlPlane,
        manifests: Manifests,
        members: Members,
        witnesses: Witnesses,
        max_bytes: int,
        floor: float = FLOOR,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._control = control
        self._manifests = manifests
        self._members = members
        self._witnesses = witnesses
        self._floor = floor
        self._clock = clock
        self._sleep = sleep
        # The content revision at which it was refused.
        self._refused: Memory[_Key, int] = Memory(max_bytes)
        # What witnesses say, as a warm request looks it up: the content revision at which rules led to a
        # digest of an artifact, which stays true whatever becomes of the witness.
        self._vouched: dict[tuple[Rules, str, str], int] = {}
        self._asking: Merge[tuple[_Key, int], None] = Merge()

    def vouched(self, artifact: ArtifactEntry, reference: str | Digest, rules: Rules) -> bool:
        """Tell whether the rules name a tag, or one that leads to a digest, for all that is known here."""
        if isinstance(reference, str):
            return rules.named[reference]
        key = (rules, artifact.uid, reference.encoded)
        revision = self._vouched.get(key)
        if revision is None or revision < artifact.content_revision:
            revision = self._witnesses.vouch(artifact.uid, reference, rules, artifact.content_revision)
            if revision is None:
                return False
            if len(self._vouched) >= _MOST_VOUCHED:
                self._vouched.clear()
            self._vouched[key] = revision
        return True

    async def require(
        self, artifact: ArtifactEntry, reference: str | Digest, rules: Rules, missing: Missing
    ) -> None:
        """Raise Unknown, with `missing`, unless the rules lead to a tag or digest; and UpstreamError.

        What a tag is refused for is the rules alone, whether there is one or not.
        """
        if self.vouched(artifact, reference, rules):
            return
        if isinstance(reference, str):
            raise Unknown(missing)
        began = self._clock()
        try:
            await self._ask_once(artifact, (rules, artifact.uid, reference, missing))
        except Unknown:
            await self._sleep(self._floor - (self._clock() - began) % self._floor)
            raise

    async def stop(self) -> None:
        """Give up what is being asked."""
        await self._asking.stop()

    async def _ask_once(self, artifact: ArtifactEntry, key: _Key) -> None:
        refused = self._refused.get(key)
        if refused is not None and refused >= artifact.content_revision:
            raise Unknown(key[-1])
        await self._asking.run((key, artifact.content_revision), lambda: self._find(artifact, key))

    async def _find(self, artifact: ArtifactEntry, key: _Key) -> None:
        rules, _, digest, missing = key
        if missing is Missing.MANIFEST:
            await self._manifests.recall(artifact.uid, digest)
        else:
            await self._members.catch_up(artifact.uid)
            await self._members.recall_blob(artifact.uid, digest)
        if self.vouched(artifact, digest, rules):
            return
        ask = partial(self._ask, artifact.uid, digest, rules, missing)
        try:
            try:
                witness = await ask()
            except ControlPlaneAway:
                if await self._was_vouched(artifact.uid, digest, rules):
                    return
                witness = await self._control.patiently(ask)
        except Unknown as error:
            if error.missing is missing:
                self._refused.put(key, artifact.content_revision, _ENTRY_BYTES)
            raise
        self._witnesses.note(artifact.uid, (digest,), (witness,))
        if missing is Missing.MANIFEST:
            self._manifests.renew(artifact.uid, digest)
        else:
            self._members.keep(artifact.uid, digest)

    async def _ask(self, artifact_uid: str, digest: Digest, rules: Rules, missing: Missing) -> Witness:
        if missing is Missing.MANIFEST:
            # Of a manifest that this node does not have, the content is asked for behind the permission.
            answer = await self._control.reference(artifact_uid, str(digest), digest, rules)
            tag, revision = answer.reached_by, answer.content_revision
        else:
            blob = await self._control.blob(artifact_uid, digest, rules)
            self._members.put(artifact_uid, digest, blob.size, blob.content_revision)
            tag, revision = blob.reached_by, blob.content_revision
        # What names no tag of the scope has not looked for one: that is no permission.
        if not tag or not rules.match(tag):
            raise Unknown(missing)
        return Witness(tag, revision)

    async def _was_vouched(self, artifact_uid: str, digest: Digest, rules: Rules) -> bool:
        """Tell what was so when the control plane was last heard, to this process or one before it."""
        if await self._stands(artifact_uid, digest, rules):
            return True
        await self._members.recall(artifact_uid)
        return await self._stands(artifact_uid, digest, rules)

    async def _stands(self, artifact_uid: str, digest: Digest, rules: Rules) -> bool:
        for witness in self._witnesses.of(artifact_uid, digest):
            if rules.match(witness.tag) and await self._manifests.stands(artifact_uid, witness):
                return True
        return False
