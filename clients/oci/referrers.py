"""The referrers of a manifest (distribution specification, "Listing Referrers")."""

from collections.abc import Awaitable, Callable

from yarl import URL

from clients.oci.descriptor import Descriptor, InvalidDescriptor
from clients.oci.digest import Digest
from clients.oci.errors import UpstreamInvalid
from clients.oci.link import InvalidLink, next_link
from clients.oci.media_types import IMAGES, INDEXES, OCI_INDEX
from clients.oci.origin import ForbiddenUrl, check_same_origin, follow
from clients.oci.request import Answer
from clients.oci.strict_json import InvalidJson, read_object

# Under one subject; what is signed a thousand times is signed by a machine that errs.
MAX_REFERRERS = 1000
_MAX_PAGES = 100


async def list_referrers(host: str, ask: Callable[[URL], Awaitable[Answer]], first: URL) -> list[Descriptor]:
    """Reads all pages; each manifest once. Raises UpstreamError."""
    found: dict[Digest, Descriptor] = {}
    following: URL | None = first
    for _ in range(_MAX_PAGES):
        if following is None:
            return list(found.values())
        answer = await ask(following)
        for descriptor in _listed(host, answer):
            found.setdefault(descriptor.digest, descriptor)
        if len(found) > MAX_REFERRERS:
            raise UpstreamInvalid(host, f"{host} lists more than {MAX_REFERRERS} referrers of one manifest.")
        following = _following(host, answer)
    raise UpstreamInvalid(host, f"{host} lists referrers on more than {_MAX_PAGES} pages.")


def referrers_tag(digest: Digest) -> str:
    """Gives the tag under which registries without the API keep them ("Referrers Tag Schema")."""
    return f"{digest.algorithm[:32]}-{digest.encoded[:64]}"


def _listed(host: str, answer: Answer) -> list[Descriptor]:
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    if media_type != OCI_INDEX:
        raise UpstreamInvalid(host, f"{host} answers the question for referrers with something else.")
    try:
        listed = read_object(answer.body).get("manifests") or []
        if not isinstance(listed, list):
            raise UpstreamInvalid(host, f"{host} sent a list of referrers that is none.")
        descriptors = [Descriptor.read(value) for value in listed[: MAX_REFERRERS + 1]]
    except (InvalidJson, InvalidDescriptor) as error:
        raise UpstreamInvalid(host, f"{host} sent a list of referrers that {error}.") from None
    return [descriptor for descriptor in descriptors if descriptor.media_type in INDEXES | IMAGES]


def _following(host: str, answer: Answer) -> URL | None:
    try:
        target = next_link(answer.headers.getall("Link", []))
        if target is None:
            return None
        url = follow(answer.url, target)
        check_same_origin(answer.url, url)
    except (InvalidLink, ForbiddenUrl) as error:
        raise UpstreamInvalid(host, f"{host} names a next page of referrers that {error}.") from None
    return url
