"""A request target, parsed into a value that cannot be illegal before anything is looked up.

The path is split at its slashes first and percent-decoded after, so that an encoded slash never
becomes a separator. Names, tags and digests are then held to the grammar of the OCI distribution
specification, which leaves no room for `..`, empty components or upper case.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from clients.oci.digest import Digest
from clients.oci.reference import InvalidReference, ReferencePart, check_repository, parse_reference
from dataplane.http.errors import Code, Refusal

# What absolute form has before the path (RFC 3986, section 3.2).
_AUTHORITY = re.compile(r"^https?://[^/?#]*", re.IGNORECASE)
_QUERY_FIELDS = 32
_LIMIT_DIGITS = 18
# What can be no tag is not there: so the specification's own tests want it.
_CODES = {
    ReferencePart.NAME: Code.NAME_INVALID,
    ReferencePart.TAG: Code.MANIFEST_UNKNOWN,
    ReferencePart.DIGEST: Code.DIGEST_INVALID,
}


@dataclass(frozen=True, slots=True)
class Base:
    """`/v2/` (end-1)."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """`/v2/_catalog?n=<limit>&last=<last>`, which the specification leaves to registries; see Tags."""

    limit: int | None
    last: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`/v2/<name>/manifests/<reference>` (end-3); the reference is a tag or a digest."""

    repository: str
    reference: str | Digest


@dataclass(frozen=True, slots=True)
class Blob:
    """`/v2/<name>/blobs/<digest>` (end-2)."""

    repository: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Tags:
    """`/v2/<name>/tags/list?n=<limit>&last=<last>` (end-8); without `n` the limit is None."""

    repository: str
    limit: int | None
    last: str


@dataclass(frozen=True, slots=True)
class Referrers:
    """`/v2/<name>/referrers/<digest>?artifactType=<artifact_type>` (end-12); empty type: no filter."""

    repository: str
    digest: Digest
    artifact_type: str


@dataclass(frozen=True, slots=True)
class Upload:
    """`/v2/<name>/blobs/uploads/...` (end-4 to end-6, end-11, end-13, end-14)."""

    repository: str


Target = Base | Catalog | Manifest | Blob | Tags | Referrers | Upload


def parse(text: str) -> Target:
    """Parse a request target in origin form or absolute form (RFC 9112, section 3.2).

    Raises Refusal: 404 for a path that the API does not have and for what cannot be a tag, otherwise 400
    with the code for the part that is malformed.
    """
    path, _, query = _AUTHORITY.sub("", text).partition("?")
    match [unquote(segment, "latin-1") for segment in path.split("/")]:
        case ["", "v2"] | ["", "v2", ""]:
            return Base()
        case ["", "v2", "_catalog"]:
            fields = _fields(query)
            return Catalog(_limit(fields.get("n")), fields.get("last", ""))
        case ["", "v2", *name, "manifests", reference]:
            return Manifest(_repository(name), _reference(reference))
        case ["", "v2", *name, "blobs", "uploads"] | ["", "v2", *name, "blobs", "uploads", _]:
            return Upload(_repository(name))
        case ["", "v2", *name, "blobs", digest]:
            return Blob(_repository(name), _digest(digest))
        case ["", "v2", *name, "tags", "list"]:
            fields = _fields(query)
            return Tags(_repository(name), _limit(fields.get("n")), fields.get("last", ""))
        case ["", "v2", *name, "referrers", digest]:
            return Referrers(_repository(name), _digest(digest), _artifact_type(_fields(query)))
    raise Refusal(Code.UNSUPPORTED, "The registry API has no such path.", status=404)


def _repository(components: list[str]) -> str:
    if any("/" in component for component in components):
        raise Refusal(Code.NAME_INVALID, "A repository name cannot have an encoded slash.")
    with _refusing():
        return check_repository("/".join(components))


def _reference(text: str) -> str | Digest:
    with _refusing():
        return parse_reference(text)


def _digest(text: str) -> Digest:
    with _refusing():
        return Digest.parse(text)


def _fields(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_QUERY_FIELDS)
    except ValueError:
        raise Refusal(
            Code.UNSUPPORTED, f"The query has more than {_QUERY_FIELDS} fields.", status=400
        ) from None
    # The first of a name counts.
    return dict(reversed(pairs))


def _artifact_type(fields: dict[str, str]) -> str:
    # What is written as it stands has a + that forms read as a space, which no type has before parameters.
    name, separator, parameters = fields.get("artifactType", "").partition(";")
    return f"{name.replace(' ', '+')}{separator}{parameters}"


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _LIMIT_DIGITS):
        raise Refusal(
            Code.PAGINATION_NUMBER_INVALID, "The number of entries, n, must be 0 or a positive whole number."
        )
    return int(text)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except InvalidReference as error:
        raise Refusal(_CODES[error.reason], str(error)) from error
