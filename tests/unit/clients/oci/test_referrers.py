"""Lists of referrers, as registries give them."""

import json

from clients.oci.media_types import OCI_INDEX
from clients.oci.referrers import MAX_REFERRERS
from clients.oci.transport import Transport
from tests.fakes.images import make_artifact
from tests.fakes.registry import FakeRegistry
from tests.unit.clients.oci.asking import IMAGE, client

SIGNATURES = [make_artifact(payload=b"%d" % number, subject=IMAGE) for number in range(3)]


async def test_what_is_listed_again_is_one_referrer(transport: Transport, upstream: FakeRegistry) -> None:
    """On a page, and on the next, where what is new has moved the others on: each counts once."""
    first, second, third = (signature.descriptor() for signature in SIGNATURES)
    path = f"/v2/team/app/referrers/{IMAGE.digest}"
    for listed, link in (
        ([first, second, first], f'<{path}?page=2>; rel="next"'),
        ([second] * MAX_REFERRERS + [third], None),
    ):
        body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()
        upstream.faults.add("referrers", body=body, headers={"Link": link}, times=1)
    upstream.add(IMAGE, "team/app", ["1.0"])
    found = await client(transport, upstream, "team/app").referrers(IMAGE.digest)
    assert found is not None
    assert [descriptor.digest for descriptor in found] == [signature.digest for signature in SIGNATURES]
