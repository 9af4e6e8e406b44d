"""Request targets: what parses, into what, and which code everything else gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci.digest import Digest
from dataplane.http.errors import Code, Refusal
from dataplane.http.target import Base, Blob, Catalog, Manifest, Referrers, Tags, Upload, parse

HEX = "a" * 64
DIGEST = Digest("sha256", HEX)
LONG = Digest("sha512", HEX * 2)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/v2/", Base()),
        ("/v2", Base()),
        ("/v2/?ns=docker.io", Base()),
        ("http://registry.example.com/v2/", Base()),
        ("HTTPS://registry.example.com/v2/", Base()),
        ("/v2/_catalog", Catalog(None, "")),
        ("/v2/_catalog?n=2&last=acme%2Fapp", Catalog(2, "acme/app")),
        ("/v2/acme/app/manifests/1.0", Manifest("acme/app", "1.0")),
        ("/v2/acme/app/manifests/1.0?ns=docker.io", Manifest("acme/app", "1.0")),
        (f"/v2/acme/app/manifests/sha256:{HEX}", Manifest("acme/app", DIGEST)),
        (f"/v2/acme/app/manifests/sha256%3A{HEX}", Manifest("acme/app", DIGEST)),
        (f"/v2/acme/app/manifests/{LONG}", Manifest("acme/app", LONG)),
        ("/v2/acme/%61pp/manifests/%31.0", Manifest("acme/app", "1.0")),
        ("/v2/acme/team/app/manifests/list", Manifest("acme/team/app", "list")),
        ("/v2/acme/manifests/manifests/manifests", Manifest("acme/manifests", "manifests")),
        ("/v2/acme/blobs/uploads/manifests/x", Manifest("acme/blobs/uploads", "x")),
        (f"/v2/acme/app/blobs/sha256:{HEX}", Blob("acme/app", DIGEST)),
        ("/v2/acme/app/tags/list", Tags("acme/app", None, "")),
        ("/v2/acme/app/tags/list?n=0", Tags("acme/app", 0, "")),
        ("/v2/acme/app/tags/list?n=10&last=1.0", Tags("acme/app", 10, "1.0")),
        ("/v2/acme/app/tags/list?last=%31.0", Tags("acme/app", None, "1.0")),
        ("/v2/acme/app/tags/list?n=5&n=oops", Tags("acme/app", 5, "")),
        (f"/v2/acme/app/referrers/sha256:{HEX}", Referrers("acme/app", DIGEST, "")),
        (
            f"/v2/acme/app/referrers/sha256:{HEX}?artifactType=application%2Fvnd.example%2Bjson",
            Referrers("acme/app", DIGEST, "application/vnd.example+json"),
        ),
        # As people write it, and with parameters, in which there may be a space.
        (
            f"/v2/acme/app/referrers/sha256:{HEX}?artifactType=application/vnd.example+json;v=1%20a",
            Referrers("acme/app", DIGEST, "application/vnd.example+json;v=1 a"),
        ),
        ("/v2/acme/app/blobs/uploads/", Upload("acme/app")),
        ("/v2/acme/app/blobs/uploads", Upload("acme/app")),
        ("/v2/acme/app/blobs/uploads/0b4c", Upload("acme/app")),
        (f"/v2/acme/app/blobs/uploads/?mount=sha256:{HEX}&from=acme/other", Upload("acme/app")),
    ],
)
def test_a_good_target_becomes_a_value(target: str, expected: object) -> None:
    """Every path of the API, with its query, in origin form and absolute form."""
    assert parse(target) == expected


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        # Paths that the API does not have.
        ("/", 404, Code.UNSUPPORTED),
        ("", 404, Code.UNSUPPORTED),
        ("*", 404, Code.UNSUPPORTED),
        ("/v1/", 404, Code.UNSUPPORTED),
        ("http://x", 404, Code.UNSUPPORTED),
        ("http://x?y=/v2/", 404, Code.UNSUPPORTED),
        ("http://x#/v2/", 404, Code.UNSUPPORTED),
        ("//v2/", 404, Code.UNSUPPORTED),
        ("/v2/acme/app", 404, Code.UNSUPPORTED),
        ("/v2/acme/app/tags/list/", 404, Code.UNSUPPORTED),
        ("/v2/acme/app/tags", 404, Code.UNSUPPORTED),
        ("/v3/acme/app/tags/list", 404, Code.UNSUPPORTED),
        # Names.
        ("/v2/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2//acme/app/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme//app/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme/app//manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme/../other/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme/%2e%2e/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme/./app/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme%2fapp/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme%2Fapp/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme%252fapp/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme%00/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme%zz/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme%/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acm%C3%A9/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/Acme/app/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme/app-/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme/a..b/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/acme app/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/" + "/".join(["a"] * 300) + "/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/" + "a" * 256 + "/manifests/1.0", 400, Code.NAME_INVALID),
        ("/v2/Acme/app/blobs/uploads/", 400, Code.NAME_INVALID),
        ("/v2/Acme/app/tags/list", 400, Code.NAME_INVALID),
        # Tags: none of these can be there.
        ("/v2/acme/app/manifests/", 404, Code.MANIFEST_UNKNOWN),
        ("/v2/acme/app/manifests/.hidden", 404, Code.MANIFEST_UNKNOWN),
        ("/v2/acme/app/manifests/-x", 404, Code.MANIFEST_UNKNOWN),
        ("/v2/acme/app/manifests/a%2Fb", 404, Code.MANIFEST_UNKNOWN),
        ("/v2/acme/app/manifests/a%20b", 404, Code.MANIFEST_UNKNOWN),
        ("/v2/acme/app/manifests/1.0%0A", 404, Code.MANIFEST_UNKNOWN),
        ("/v2/acme/app/manifests/" + "a" * 129, 404, Code.MANIFEST_UNKNOWN),
        # Digests.
        ("/v2/acme/app/manifests/sha256:abc", 400, Code.DIGEST_INVALID),
        ("/v2/acme/app/manifests/a:b", 400, Code.DIGEST_INVALID),
        (f"/v2/acme/app/manifests/md5:{'a' * 32}", 400, Code.DIGEST_INVALID),
        (f"/v2/acme/app/blobs/sha256:{'A' * 64}", 400, Code.DIGEST_INVALID),
        ("/v2/acme/app/blobs/latest", 400, Code.DIGEST_INVALID),
        ("/v2/acme/app/blobs/", 400, Code.DIGEST_INVALID),
        ("/v2/acme/app/referrers/latest", 400, Code.DIGEST_INVALID),
        # Pages.
        ("/v2/acme/app/tags/list?n=-1", 400, Code.PAGINATION_NUMBER_INVALID),
        ("/v2/acme/app/tags/list?n=", 400, Code.PAGINATION_NUMBER_INVALID),
        ("/v2/acme/app/tags/list?n=ten", 400, Code.PAGINATION_NUMBER_INVALID),
        ("/v2/acme/app/tags/list?n=1.5", 400, Code.PAGINATION_NUMBER_INVALID),
        ("/v2/acme/app/tags/list?n=%D9%A3", 400, Code.PAGINATION_NUMBER_INVALID),
        ("/v2/acme/app/tags/list?n=" + "9" * 5000, 400, Code.PAGINATION_NUMBER_INVALID),
        ("/v2/acme/app/tags/list?" + "&".join(["a=1"] * 100), 400, Code.UNSUPPORTED),
    ],
)
def test_a_bad_target_gets_the_code_of_what_is_wrong(target: str, status: int, code: Code) -> None:
    """400 with the part that is malformed, 404 for what is no path of the API or cannot be a tag."""
    with pytest.raises(Refusal) as caught:
        parse(target)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert len(str(caught.value)) < 300


PIECES = (
    *("v2", "acme", "app", "manifests", "blobs", "uploads", "tags", "list", "referrers", "1.0", str(DIGEST)),
    *(
        "",
        ".",
        "..",
        "%2f",
        "%2e%2e",
        "%",
        "%00",
        "%C3%A9",
        "\u00e9",
        "\x7f",
        "A",
        "//",
        "http://x",
        "?n=1",
        "?",
        "#",
    ),
)


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=9))
def test_whatever_is_sent_it_is_a_value_or_a_refusal(pieces: list[str]) -> None:
    """And a name that gets through has no empty, dotted, encoded or upper-case component."""
    try:
        target = parse("/" + "/".join(pieces))
    except Refusal:
        return
    repository = getattr(target, "repository", "a")
    assert repository == repository.lower()
    assert all(part and part.strip(".") and "%" not in part for part in repository.split("/"))
