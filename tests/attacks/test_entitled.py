"""Attacks by those who have a good token, for what that token does not give."""

import asyncio
import time

import pytest

from penstock.v1.user_pb2 import Role
from tests.fakes.blobs import content_of
from tests.fakes.images import make_image
from tests.integration.dataplane.conftest import Pulled, Setup, basic, plane, seen, setup  # noqa: F401 - fixtures
from tests.integration.dataplane.shop import ABSENT, Shop, layer, opened


@pytest.fixture
async def shop(setup: Setup) -> Shop:  # noqa: F811 - the fixture
    """A vendor whose customers see only what they are entitled to, on a node that has all of it."""
    shop = await opened(setup)
    for path in shop.paths().values():
        await setup.get(path)
    return shop


async def ask(shop: Shop, token: str, path: str, method: str = "GET") -> Pulled:
    """A request below the vendor's repository."""
    return await shop.setup.request(method, f"/v2/acme/app/{path}", token=token)


async def raw(shop: Shop, token: str, target: str, method: str = "GET") -> tuple[int, bytes]:
    """Status and body for a request target that goes out byte for byte."""
    host, _, port = shop.setup.node.registry_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        lines = (f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: {basic(token)}")
        writer.write("\r\n".join((*lines, "Connection: close", "", "")).encode("latin-1"))
        async with asyncio.timeout(20):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split()[1]), body
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_blob_of_another_organization(shop: Shop) -> None:
    """Its digest opens nothing, under one's own repository's name or theirs, though the bytes are here."""
    other = shop.setup.plane
    organization = other.add_organization("globex")
    mine = other.add_artifact("globex/app")
    other.hold(mine, make_image(), ["1.0"])
    stranger = other.add_token(organization)
    await shop.setup.in_force()
    for name, code in (("acme/app", "NAME_UNKNOWN"), ("globex/app", "BLOB_UNKNOWN")):
        answer = await shop.setup.request("GET", f"/v2/{name}/blobs/{layer(shop.one)}", token=stranger)
        assert (answer.status, answer.code) == (404, code)


@pytest.mark.parametrize(
    "kind",
    ["foreign blob", "foreign index", "foreign child", "removed", "moved", "moved blob", "foreign signature"],
)
async def test_a_digest_outside_the_entitlement(shop: Shop, kind: str) -> None:
    """Cached by somebody who may have it, asked for by somebody who may not: as if it did not exist."""
    token = shop.customer("1.*")
    entitled = shop.setup.token
    await shop.setup.in_force()
    path = shop.paths()[kind]
    unknown = f"{path.partition('/')[0]}/{ABSENT}"
    assert (await ask(shop, entitled, path)).status == 200
    for method in ("GET", "HEAD"):
        assert seen(await ask(shop, token, path, method)) == seen(await ask(shop, token, unknown, method))
    for extra in ({"Range": "bytes=0-0"}, {"If-None-Match": f'"{path.rpartition("/")[2]}"'}):
        answer = await shop.setup.request("GET", f"/v2/acme/app/{path}", token=token, **extra)
        assert answer.status == 404


async def test_referrers_of_a_foreign_subject(shop: Shop) -> None:
    """An empty list, as for a subject that does not exist, whatever type is asked for."""
    token = shop.customer("1.*")
    await shop.setup.in_force()
    for query in ("", "?artifactType=application/vnd.example.sbom.v1"):
        foreign = await ask(shop, token, f"referrers/{shop.two.digest}{query}")
        assert seen(foreign) == seen(await ask(shop, token, f"referrers/{ABSENT}{query}"))


async def test_a_blob_mounted_from_another_repository(shop: Shop) -> None:
    """Mounts are refused like every upload: the same for a blob that is there, foreign, and unknown."""
    token = shop.customer("1.*")
    await shop.setup.in_force()
    answers = [
        await ask(shop, token, f"blobs/uploads/?mount={digest}&from={source}", "POST")
        for digest in (layer(shop.one), layer(shop.two), ABSENT)
        for source in ("acme/app", "acme/none", "globex/app")
    ]
    assert {answer.status for answer in answers} == {405}
    assert all(seen(answer) == seen(answers[0]) for answer in answers)
    assert (await ask(shop, token, f"blobs/{layer(shop.two)}")).status == 404


async def test_a_blob_through_the_repository_of_another_artifact(shop: Shop) -> None:
    """To be entitled to one artifact opens no digest of another, shared storage or not."""
    plane = shop.setup.plane  # noqa: F811
    small = plane.add_artifact("acme/small")
    plane.hold(small, make_image(), ["1.0"])
    customer = plane.add_customer(shop.organization)
    plane.entitle(customer, small)
    token = plane.add_token(shop.organization, customer_uid=customer)
    await shop.setup.in_force()
    path = f"blobs/{layer(shop.one)}"
    for name, code in (("acme/app", "NAME_UNKNOWN"), ("acme/small", "BLOB_UNKNOWN")):
        answer = await shop.setup.request("GET", f"/v2/{name}/{path}", token=token)
        assert (answer.status, answer.code) == (404, code)
    manifest = await shop.setup.request("GET", f"/v2/acme/small/manifests/{shop.one.digest}", token=token)
    assert (manifest.status, manifest.code) == (404, "MANIFEST_UNKNOWN")


async def test_tokens_that_give_nothing_any_more(shop: Shop) -> None:
    """Expired by a second, revoked a moment ago, of a customer that lost its entitlement: warm or cold."""
    plane = shop.setup.plane  # noqa: F811
    customer = plane.add_customer(shop.organization)
    entitlement = plane.entitle(customer, shop.app)
    ends = time.time() + 2
    ending = plane.add_token(shop.organization, customer_uid=customer, expires_at=ends)
    revoked, left = (plane.add_token(shop.organization, customer_uid=customer) for _ in range(2))
    await shop.setup.in_force()
    path = f"blobs/{layer(shop.one)}"
    for token in (ending, revoked, left):
        assert (await ask(shop, token, path)).status == 200
    plane.remove_token(revoked)
    plane.remove_entitlement(entitlement)
    await shop.setup.in_force()
    await asyncio.sleep(max(0.0, ends - time.time()))
    assert (await ask(shop, ending, path)).status == 401
    assert (await ask(shop, revoked, path)).status == 401
    answer = await ask(shop, left, path)
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


async def test_a_role_that_was_lowered_gives_no_more_to_pull(shop: Shop) -> None:
    """Roles are for the API: the lowest pulls what its entitlements give, the highest not a tag more."""
    plane = shop.setup.plane  # noqa: F811
    customer = plane.add_customer(shop.organization)
    plane.entitle(customer, shop.app, "1.*")
    for role in (Role.ROLE_READ_ONLY, Role.ROLE_READ_WRITE, Role.ROLE_ADMIN):
        token = plane.add_token(shop.organization, role, customer_uid=customer)
        await shop.setup.in_force()
        assert (await ask(shop, token, "manifests/1.0")).status == 200
        assert (await ask(shop, token, "manifests/2.0")).status == 404
        assert (await ask(shop, token, "manifests/3.0", "PUT")).status == 405


@pytest.mark.parametrize(
    "name",
    [
        "acme/../acme/app",
        "acme/app/../app",
        "acme/./app",
        "../acme/app",
        "acme%2fapp",
        "acme%2Fapp",
        "acme/%2e%2e/app",
        "acme/app%00",
        "Acme/app",
        "acme/APP",
        "acme//app",
        "/acme/app",
        "acme/app/",
        "acme/app%20",
        "acme/" + "/".join(["app"] * 300),
        "a" * 5000,
        "acme/\xe4pp",
        "acme/app;x",
        "acme\\app",
    ],
)
async def test_malformed_names(shop: Shop, name: str) -> None:
    """Whatever a name is bent into, nobody gets more by it, and nobody learns more than a stranger."""
    token = shop.customer("1.*")
    stranger = shop.setup.plane.add_token(shop.setup.plane.add_organization("globex"))
    await shop.setup.in_force()
    for rest in ("manifests/2.0", "manifests/1.0", "tags/list", f"blobs/{layer(shop.two)}"):
        answers = [await raw(shop, each, f"/v2/{name}/{rest}") for each in (token, stranger)]
        assert answers[0][0] in (400, 404, 414)
        assert answers[0] == answers[1]


async def test_guessing_digests_makes_nobody_ask_the_upstream(shop: Shop) -> None:
    """A customer's unknown digests go to no upstream, and to the control plane once each."""
    setup = shop.setup  # noqa: F811
    token = shop.customer("1.*")
    await setup.in_force()
    before = setup.upstream.count("GET", "")
    guesses = [f"sha256:{number:064x}" for number in range(10)]
    calls = setup.plane.calls.copy()
    for _ in range(2):
        found = await asyncio.gather(
            *(ask(shop, token, f"{kind}/{guess}") for guess in guesses for kind in ("manifests", "blobs"))
        )
        assert {answer.status for answer in found} == {404}
    assert setup.upstream.count("GET", "") == before
    for method in ("ResolveReference", "ResolveBlob"):
        assert setup.plane.calls[method] - calls[method] == len(guesses)


async def test_what_the_entitled_get_is_whole(shop: Shop) -> None:
    """So that the refusals above refuse something."""
    token = shop.customer("1.*")
    await shop.setup.in_force()
    child = shop.one.children[0]
    assert (await ask(shop, token, "manifests/1.0")).body == shop.one.manifest
    for digest, blob in child.blobs.items():
        assert (await ask(shop, token, f"blobs/{digest}")).body == content_of(blob)
