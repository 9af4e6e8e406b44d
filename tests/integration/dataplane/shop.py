"""A vendor's repository with tags of several versions, and customers that are entitled to some of them."""

from dataclasses import dataclass
from typing import Any, Final

from clients.oci.digest import Digest
from tests.fakes.estate import FakeArtifact
from tests.fakes.images import Image, make_artifact, make_image, make_index
from tests.integration.dataplane.conftest import Setup

ABSENT: Final = Digest.of(b"nobody has this")
SHARED: Final = b"in every image"


@dataclass(frozen=True)
class Shop:
    """`acme/app` with the tags 1.0 and 1.1 (an index each) and 2.0, and what else there is of it."""

    setup: Setup
    app: FakeArtifact
    organization: str
    one: Image
    two: Image
    # What 1.0 was before it moved, and what a tag 1.9 was that is gone.
    moved: Image
    removed: Image
    # About 1.0 and about 2.0.
    signature: Image
    foreign_signature: Image

    def customer(self, *patterns: str, **entitlement: Any) -> str:
        """The token of a new customer, entitled to tags of app."""
        plane = self.setup.plane
        customer = plane.add_customer(self.organization)
        plane.entitle(customer, self.app, *patterns, **entitlement)
        return plane.add_token(self.organization, customer_uid=customer)

    def paths(self) -> dict[str, str]:
        """A request of each kind, below `/v2/acme/app/`."""
        blob, foreign = layer(self.one), layer(self.two)
        return {
            "tag": "manifests/1.0",
            "tag of another version": "manifests/2.0",
            "tag that nothing has": "manifests/1.999",
            "index": f"manifests/{self.one.digest}",
            "child": f"manifests/{self.one.children[0].digest}",
            "other child": f"manifests/{self.one.children[1].digest}",
            "foreign index": f"manifests/{self.two.digest}",
            "foreign child": f"manifests/{self.two.children[0].digest}",
            "moved": f"manifests/{self.moved.digest}",
            "removed": f"manifests/{self.removed.digest}",
            "blob": f"blobs/{blob}",
            "config": f"blobs/{next(iter(self.one.children[0].blobs))}",
            "foreign blob": f"blobs/{foreign}",
            "moved blob": f"blobs/{layer(self.moved)}",
            "shared blob": f"blobs/{self.shared}",
            "signature": f"manifests/{self.signature.digest}",
            "signature's blob": f"blobs/{layer(self.signature)}",
            "foreign signature": f"manifests/{self.foreign_signature.digest}",
            "no manifest": f"manifests/{ABSENT}",
            "no blob": f"blobs/{ABSENT}",
        }

    @property
    def shared(self) -> Digest:
        return self.one.children[0].layers[0].digest


def layer(image: Image) -> Digest:
    """The last layer of an image, or of the first of an index."""
    return list((image.children[0] if image.children else image).blobs)[-1]


def version(number: int) -> Image:
    """An index of two platforms; one layer is in all of them."""
    platforms = [("linux", "amd64"), ("linux", "arm64")]
    return make_index(
        [make_image([SHARED, b"%d %d" % (number, at)], where, number) for at, where in enumerate(platforms)]
    )


async def opened(setup: Setup) -> Shop:
    """Have a vendor whose customers see only what they are entitled to."""
    organization = next(iter(setup.plane.organizations))
    setup.plane.close(organization)
    moved, removed, one, two = (version(number) for number in range(4))
    app = await setup.artifact(moved, tag="1.0")
    for image, tags in ((one, ["1.0", "1.1"]), (removed, ["1.9"]), (two, ["2.0"])):
        setup.upstream.add(image, "up/acme/app", tags)
        setup.plane.hold(app, image, tags)
    signature = make_artifact(payload=b"one", subject=one)
    foreign = make_artifact(payload=b"two", subject=two)
    for image in (signature, foreign):
        setup.upstream.add(image, "up/acme/app", [])
        setup.plane.hold(app, image)
    del app.tags["1.9"]
    setup.plane.touch(app)
    await setup.in_force()
    return Shop(setup, app, organization, one, two, moved, removed, signature, foreign)
