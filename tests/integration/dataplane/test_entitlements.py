"""Customers get what tags that they are entitled to reach, and learn of nothing else."""

import asyncio
import time
from typing import Final

import pytest

from clients.oci.digest import Digest
from tests.fakes.images import make_image
from tests.integration.dataplane.conftest import Pulled, Setup, seen
from tests.integration.dataplane.shop import ABSENT, Shop, layer, opened, version


@pytest.fixture
async def shop(setup: Setup) -> Shop:
    """A vendor whose customers see only what they are entitled to."""
    return await opened(setup)


# Who gets what: `1` for 200, `0` for 404 of a manifest or blob, `-` for 404 of the repository.
WHO: Final = ("member", "all", "1.*", "1.0", ">=2", "ended", "none", "stranger")
TABLE: Final = {
    "tag": "11110---",
    "tag of another version": "11001---",
    "tag that nothing has": "00000---",
    "index": "11110---",
    "child": "11110---",
    "other child": "11110---",
    "foreign index": "11001---",
    "foreign child": "11001---",
    "moved": "10000---",
    "removed": "10000---",
    "blob": "11110---",
    "config": "11110---",
    "foreign blob": "11001---",
    "moved blob": "10000---",
    "shared blob": "11111---",
    "signature": "11110---",
    "signature's blob": "11110---",
    "foreign signature": "11001---",
    "no manifest": "00000---",
    "no blob": "00000---",
}
TAGS: Final = {
    "member": ["1.0", "1.1", "2.0"],
    "all": ["1.0", "1.1", "2.0"],
    "1.*": ["1.0", "1.1"],
    "1.0": ["1.0"],
    ">=2": ["2.0"],
}


def everybody(shop: Shop) -> dict[str, str]:
    """A token of each kind of caller."""
    plane = shop.setup.plane
    return {
        "member": shop.setup.token,
        "all": shop.customer(),
        "1.*": shop.customer("1.*"),
        "1.0": shop.customer("1.0"),
        ">=2": shop.customer(version_ranges=[">=2"]),
        "ended": shop.customer(expires_at=time.time() - 1),
        "none": plane.add_token(shop.organization, customer_uid=plane.add_customer(shop.organization)),
        "stranger": plane.add_token(plane.add_organization("globex")),
    }


@pytest.mark.parametrize("way", ["cold", "member first", "no fast path"])
async def test_who_gets_what(shop: Shop, way: str) -> None:
    """The table, by GET and HEAD: when nobody has asked for anything yet, and when the node has all of it."""
    setup = shop.setup
    tokens = everybody(shop)
    await setup.in_force()
    if way == "no fast path":
        await setup.restart(fast_path=False)
        await setup.in_force()
    if way == "member first":
        for path in shop.paths().values():
            await setup.get(path)

    async def ask(who: str, kind: str, path: str, expected: str) -> list[tuple[object, ...]]:
        wrong: list[tuple[object, ...]] = []
        for method in ("GET", "HEAD", "GET"):
            answer = await setup.request(method, f"/v2/acme/app/{path}", token=tokens[who])
            code = answer.code if answer.body and answer.status == 404 else None
            fits = {
                "1": answer.status == 200,
                "0": answer.status == 404 and code in (None, "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"),
                "-": answer.status == 404 and code in (None, "NAME_UNKNOWN"),
            }
            if not fits[expected]:
                wrong.append((who, kind, method, answer.status, code))
        return wrong

    for who, column in zip(WHO, zip(*TABLE.values(), strict=True), strict=True):
        asked = zip(shop.paths().items(), column, strict=True)
        found = await asyncio.gather(*(ask(who, kind, path, expected) for (kind, path), expected in asked))
        assert not [wrong for each in found for wrong in each]
    for who, token in tokens.items():
        answer = await setup.request("GET", "/v2/acme/app/tags/list", token=token)
        assert answer.json.get("tags") == TAGS.get(who), who
    # The upstream was asked for the content of blobs that somebody got, and for nothing else.
    assert setup.upstream.count("GET", "manifests") == 0


async def test_an_ordinary_pull_costs_no_further_call(shop: Shop) -> None:
    """Tag, index, child and blobs: what the tag leads to is known once it is resolved."""
    setup, calls = shop.setup, shop.setup.plane.calls
    tokens = [shop.customer("1.0"), shop.customer("1.*"), shop.customer()]
    await setup.in_force()
    child = shop.one.children[0]
    paths = ["manifests/1.0", f"manifests/{shop.one.digest}", f"manifests/{child.digest}"]
    paths += [f"blobs/{digest}" for digest in child.blobs]
    for token in tokens:
        for path in paths:
            assert (await setup.request("GET", f"/v2/acme/app/{path}", token=token)).status == 200
        assert (calls["ResolveReference"], calls["ResolveBlob"]) == (2, 0)
    # Nor does it after a restart: the disk knows what memory knew.
    await setup.restart()
    await setup.in_force()
    for path in paths[1:]:
        assert (await setup.request("GET", f"/v2/acme/app/{path}", token=tokens[0])).status == 200
    assert (calls["ResolveReference"], calls["ResolveBlob"]) == (2, 0)


async def test_a_refusal_is_remembered_until_the_content_changes(shop: Shop) -> None:
    """One call for all customers with the same rules; none for tags, which the rules alone decide."""
    setup, calls = shop.setup, shop.setup.plane.calls
    tokens = [shop.customer("1.*"), shop.customer("1.*")]
    await setup.in_force()
    for path, method in (
        (f"manifests/{shop.two.digest}", "ResolveReference"),
        (f"blobs/{layer(shop.two)}", "ResolveBlob"),
    ):
        for token in (*tokens, *tokens):
            assert (await setup.request("GET", f"/v2/acme/app/{path}", token=token)).status == 404
        assert calls[method] == 1
    assert (await setup.request("GET", "/v2/acme/app/manifests/2.0", token=tokens[0])).status == 404
    assert calls["ResolveReference"] == 1
    # 1.1 moves to what was refused.
    setup.plane.hold(shop.app, shop.two, ["1.1"])
    await setup.in_force()
    for path in (f"manifests/{shop.two.digest}", f"blobs/{layer(shop.two)}"):
        assert (await setup.request("GET", f"/v2/acme/app/{path}", token=tokens[0])).status == 200


async def test_a_tag_that_moves_takes_its_digests_along(shop: Shop) -> None:
    """What was pulled by it a moment ago is refused by digest, though the node has all of it."""
    setup = shop.setup
    token = shop.customer("2.*")
    await setup.in_force()
    paths = ["manifests/2.0", f"manifests/{shop.two.digest}", f"manifests/{shop.two.children[0].digest}"]
    paths.append(f"blobs/{layer(shop.two)}")
    for path in paths:
        assert (await setup.request("GET", f"/v2/acme/app/{path}", token=token)).status == 200
    setup.plane.hold(shop.app, version(9), ["2.0"])
    await setup.in_force()
    for path in paths[1:]:
        assert (await setup.request("GET", f"/v2/acme/app/{path}", token=token)).status == 404
        assert (await setup.get(path)).status == 200
    assert (await setup.request("GET", "/v2/acme/app/manifests/2.0", token=token)).status == 200


async def test_forbidden_and_unknown_cannot_be_told_apart(shop: Shop) -> None:
    """Not by status, body and headers; how long refusals take is held with the clock of a test of Reach."""
    setup = shop.setup
    token = shop.customer("1.*")
    await setup.in_force()
    # The node has all of it.
    for path in shop.paths().values():
        await setup.get(path)
    kinds = {
        f"manifests/{ABSENT}": ["foreign index", "foreign child", "moved", "removed", "foreign signature"],
        f"blobs/{ABSENT}": ["foreign blob", "moved blob"],
        "manifests/1.999": ["tag of another version"],
    }
    for unknown, forbidden in kinds.items():
        for method in ("GET", "HEAD"):
            nothing = await setup.request(method, f"/v2/acme/app/{unknown}", token=token)
            for kind in forbidden:
                path = f"/v2/acme/app/{shop.paths()[kind]}"
                answer = await setup.request(method, path, token=token)
                assert seen(answer) == seen(nothing)


async def test_referrers_are_those_of_subjects_that_one_may_have(shop: Shop) -> None:
    """A foreign subject has none, as one that does not exist; what is listed can be pulled without a call."""
    setup = shop.setup
    token = shop.customer("1.*")
    await setup.in_force()

    async def referrers(digest: Digest) -> Pulled:
        return await setup.request("GET", f"/v2/acme/app/referrers/{digest}", token=token)

    listed = (await referrers(shop.one.digest)).json["manifests"]
    assert [each["digest"] for each in listed] == [str(shop.signature.digest)]
    foreign, absent = await referrers(shop.two.digest), await referrers(ABSENT)
    assert foreign.json["manifests"] == []
    assert seen(foreign) == seen(absent)
    assert (await setup.get(f"referrers/{shop.two.digest}")).json["manifests"]
    calls = setup.plane.calls["ResolveReference"]
    path = f"/v2/acme/app/manifests/{shop.signature.digest}"
    assert (await setup.request("GET", path, token=token)).status == 200
    assert setup.plane.calls["ResolveReference"] == calls + 1


async def test_an_artifact_that_has_just_gone_has_no_list_of_referrers(shop: Shop) -> None:
    """Before the node hears of it; an empty list would say that what is signed is not."""
    token = shop.customer("1.*")
    await shop.setup.in_force()
    del shop.setup.plane.artifacts[shop.app.uid]
    for digest in (shop.one.digest, ABSENT):
        path = f"/v2/acme/app/referrers/{digest}"
        for who in (token, shop.setup.token):
            answer = await shop.setup.request("GET", path, token=who)
            assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


async def test_the_catalog_lists_what_one_may_see(shop: Shop) -> None:
    """In order, in pages that a Link leads through; nothing of others."""
    setup = shop.setup
    plane = setup.plane
    for name in ("acme/a", "acme/b/c", "acme-b/x", "globex/app"):
        plane.add_artifact(name)
    customer = plane.add_customer(shop.organization)
    others = {artifact.repository: artifact for artifact in plane.artifacts.values()}
    plane.entitle(customer, others["acme/a"], "1")
    plane.entitle(customer, others["acme/app"], expires_at=time.time() - 1)
    plane.entitle(customer, others["globex/app"])
    await setup.in_force()

    async def listed(token: str, query: str = "") -> Pulled:
        return await setup.request("GET", f"/v2/_catalog{query}", token=token)

    token = plane.add_token(shop.organization, customer_uid=customer)
    admin = plane.add_token()
    await setup.in_force()
    everything = ["acme-b/x", "acme/a", "acme/app", "acme/b/c", "globex/app"]
    assert (await listed(admin)).json == {"repositories": everything}
    assert (await listed(setup.token)).json == {"repositories": ["acme/a", "acme/app", "acme/b/c"]}
    assert (await listed(token)).json == {"repositories": ["acme/a"]}
    assert (await listed(admin, "?n=0")).json == {"repositories": []}
    pages, link = [], "?n=2"
    while link:
        page = await listed(admin, link)
        pages.append(page.json["repositories"])
        link = page.headers.get("Link", "").partition(">")[0].removeprefix("</v2/_catalog")
    assert pages == [everything[:2], everything[2:4], everything[4:]]
    assert (await listed(setup.token, "?last=acme%2Fapp")).json == {"repositories": ["acme/b/c"]}
    assert (await listed(setup.token, "?last=zzz")).json == {"repositories": []}
    assert (await listed("guess")).status == 401
    assert (await setup.request("POST", "/v2/_catalog")).status == 405


async def test_tags_are_paged_after_they_are_chosen(shop: Shop) -> None:
    """`n` and `last` count what one may see, and the Link leads through that alone."""
    setup = shop.setup
    for minor in range(25):
        shop.app.tags[f"3.{minor}"] = shop.one.digest
        shop.app.tags[f"4.{minor}"] = shop.two.digest
    setup.plane.touch(shop.app)
    token = shop.customer("3.*")
    await setup.in_force()
    tags, link = [], "?n=10"
    sizes = []
    while link:
        page = await setup.request("GET", f"/v2/acme/app/tags/list{link}", token=token)
        sizes.append(len(page.json["tags"]))
        tags += page.json["tags"]
        link = page.headers.get("Link", "").partition(">")[0].removeprefix("</v2/acme/app/tags/list")
    assert (sizes, tags) == ([10, 10, 5], sorted(f"3.{minor}" for minor in range(25)))
    page = await setup.request("GET", "/v2/acme/app/tags/list?n=1&last=2.0", token=token)
    assert page.json["tags"] == ["3.0"]
    assert setup.plane.calls["StreamTags"] == 1


async def test_an_open_organization_shows_its_customers_everything(setup: Setup) -> None:
    """Until it is closed; then nothing that they are not entitled to, as soon as the node has heard of it."""
    image = make_image()
    await setup.artifact(image)
    (organization,) = setup.plane.organizations
    token = setup.plane.add_token(organization, customer_uid=setup.plane.add_customer(organization))
    await setup.in_force()
    for path in ("manifests/1.0", f"manifests/{image.digest}", f"blobs/{layer(image)}", "tags/list"):
        assert (await setup.request("GET", f"/v2/acme/app/{path}", token=token)).status == 200
    setup.plane.close(organization)
    await setup.in_force()
    for path in ("manifests/1.0", f"manifests/{image.digest}", f"blobs/{layer(image)}", "tags/list"):
        assert (await setup.request("GET", f"/v2/acme/app/{path}", token=token)).status == 404


async def test_a_control_plane_that_knows_no_scopes_permits_nothing(shop: Shop) -> None:
    """An answer that names no tag is no permission: older control planes give everything."""
    setup = shop.setup
    token = shop.customer("1.*")
    await setup.in_force()
    for image in (shop.one, shop.two):
        digest = image.digest
        shop.app.reached_by = lambda *_: ""  # type: ignore[method-assign]
        answer = await setup.request("GET", f"/v2/acme/app/manifests/{digest}", token=token)
        assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
