"""What is vouched for, and how long a refusal takes, by a clock that the test moves."""

import pytest

from clients.control.client import ControlClient
from clients.oci.digest import Digest
from clients.oci.tag_rule import TagRule
from dataplane.access.rules import Rules
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve import reach as reach_module
from dataplane.resolve.control import Blob, ControlPlane
from dataplane.resolve.errors import Missing, Unknown
from dataplane.resolve.reach import FLOOR, Reach
from dataplane.resolve.witnesses import Witness, Witnesses
from tests.fakes.clock import Clock, Pauses
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.estate import FakeArtifact
from tests.fakes.images import Image
from tests.unit.dataplane.resolve.resolving import Resolving, entry

ABSENT = Digest.parse(f"sha256:{'0' * 64}")
NONE_OF_IT = Rules.of([TagRule.of(patterns=["9.*"])])


class Slow(ControlPlane):
    """A control plane whose look-ups take a time."""

    def __init__(self, client: ControlClient, clock: Clock, seconds: float) -> None:
        super().__init__(client.nodes, 0)
        self._clock, self._seconds = clock, seconds

    async def blob(self, artifact_uid: str, digest: Digest, rules: Rules | None = None) -> Blob:
        self._clock.now += self._seconds
        return await super().blob(artifact_uid, digest, rules)


@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.0999, 0.1, 0.25, 1.01])
@pytest.mark.parametrize("kind", ["forbidden", "unknown"])
async def test_a_refusal_takes_whole_tenths_of_a_second(
    client: ControlClient, node: Resolving, held: FakeArtifact, image: Image, seconds: float, kind: str
) -> None:
    """Whatever was looked up for how long, and one tenth when it is remembered: for both kinds alike."""
    clock, pauses = Clock(), Pauses()
    control = Slow(client, clock, seconds)
    digest = image.layers[0].digest if kind == "forbidden" else ABSENT
    reach = Reach(
        control, node.manifests, node.members, Witnesses(1 << 16), 1 << 16, clock=clock, sleep=pauses.sleep
    )
    for took in (seconds, 0.0):
        began = clock.now
        with pytest.raises(Unknown):
            await reach.require(entry(held), digest, NONE_OF_IT, Missing.BLOB)
        assert clock.now - began == pytest.approx(took, abs=1e-6)
        tenths = (took + pauses[-1]) / FLOOR
        assert tenths == pytest.approx(round(tenths), abs=1e-4)
        assert 0 < pauses[-1] <= FLOOR + 1e-6
    assert len(pauses) == 2
    await reach.stop()


async def test_what_was_refused_is_looked_for_again_once_the_content_has_changed(
    client: ControlClient, plane: FakeControlPlane, node: Resolving, held: FakeArtifact, image: Image
) -> None:
    """Not before, so that guesses are one question; a tag that leads to it then counts at once."""
    control, pauses = ControlPlane(client.nodes, 0), Pauses()
    reach = Reach(
        control, node.manifests, node.members, Witnesses(1 << 16), 1 << 16, clock=Clock(), sleep=pauses.sleep
    )
    digest = image.layers[0].digest
    for _ in range(3):
        with pytest.raises(Unknown):
            await reach.require(entry(held), digest, NONE_OF_IT, Missing.BLOB)
    assert plane.calls["ResolveBlob"] == 1
    plane.hold(held, image, ["9.0"])
    await reach.require(entry(held), digest, NONE_OF_IT, Missing.BLOB)
    assert plane.calls["ResolveBlob"] == 2
    await reach.stop()


@pytest.mark.parametrize("missing", [Missing.BLOB, Missing.MANIFEST])
async def test_what_was_missing_for_another_reason_is_looked_for_again(
    client: ControlClient,
    plane: FakeControlPlane,
    node: Resolving,
    held: FakeArtifact,
    image: Image,
    missing: Missing,
) -> None:
    """A repository that the control plane does not have for a moment says nothing of what is in it."""
    control, pauses = ControlPlane(client.nodes, 0), Pauses()
    reach = Reach(control, node.manifests, node.members, Witnesses(1 << 16), 1 << 16, sleep=pauses.sleep)
    digest = image.layers[0].digest if missing is Missing.BLOB else image.digest
    mine = Rules.of([TagRule.of(patterns=["1.*"])])
    del plane.artifacts[held.uid]
    with pytest.raises(Unknown) as caught:
        await reach.require(entry(held), digest, mine, missing)
    assert caught.value.missing is Missing.ARTIFACT
    plane.artifacts[held.uid] = held
    await reach.require(entry(held), digest, mine, missing)
    for _ in range(2):
        with pytest.raises(Unknown) as caught:
            await reach.require(entry(held), ABSENT, mine, missing)
        assert caught.value.missing is missing
    await reach.stop()


async def test_what_was_vouched_for_holds_for_its_rules_and_content_revision(
    client: ControlClient, node: Resolving
) -> None:
    """Asked again it is the same; not for other rules, another artifact or later content. It is bounded."""
    witnesses = Witnesses(1 << 16)
    reach = Reach(ControlPlane(client.nodes, 0), node.manifests, node.members, witnesses, 1 << 16)
    mine, others = Rules.of([TagRule.of(patterns=["1.*"])]), Rules.of([TagRule.of(patterns=["2.*"])])
    app, other, moved = (
        ArtifactEntry(uid, "o", "acme/app", at) for uid, at in [("a", 5), ("b", 5), ("a", 6)]
    )
    digests = [Digest.of(b"%d" % number) for number in range(5000)]
    for digest in digests:
        witnesses.note("a", (digest,), (Witness("1.0", 5),))
        for _ in range(2):
            assert reach.vouched(app, digest, mine)
            assert not reach.vouched(app, digest, others)
            assert not reach.vouched(other, digest, mine)
            assert not reach.vouched(moved, digest, mine)
    assert reach.vouched(app, "1.7", mine)
    assert not reach.vouched(app, "1.7", others)
    assert len(reach._vouched) <= reach_module._MOST_VOUCHED
    witnesses.note("a", digests[-1:], (Witness("1.1", 6),))
    assert reach.vouched(moved, digests[-1], mine)
    await reach.stop()
