"""Reading one upstream repository (distribution specification, "Pull" and "Content Discovery")."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Self

from yarl import URL

from clients.oci.credential import Basic, CredentialSource
from clients.oci.descriptor import Descriptor
from clients.oci.dialogue import Dialogue
from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError, UpstreamInvalid, UpstreamNotFound
from clients.oci.manifest import MAX_SIZE, InvalidManifest, Manifest
from clients.oci.media_types import ACCEPT_MANIFESTS, IMAGES, INDEXES, OCI_INDEX
from clients.oci.reader import Authorization
from clients.oci.reference import InvalidReference, parse_reference
from clients.oci.referrers import list_referrers
from clients.oci.request import Account, Answer, Kind, Request
from clients.oci.tags import TagPages
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream

_TAG_PAGE_LIMIT = 4 * 1024 * 1024


class Registry:
    """One upstream repository; cheap to make, since connections and tokens belong to the transport.

    It is read with a credential where one is given. `ca_certificates` are PEM certificates to verify the
    registry with, in place of the system's. All methods raise UpstreamError, and InvalidReference for a
    reference that is none.
    """

    def __init__(
        self,
        transport: Transport,
        upstream: Upstream,
        credential: Basic | CredentialSource | None = None,
        *,
        ca_certificates: str = "",
    ) -> None:
        self._upstream = upstream
        self._base = URL(upstream.base_url)
        self._dialogue = Dialogue(transport, upstream, credential, ca_certificates)
        self._asked: Callable[[Kind], None] | None = None

    def counted(self, asked: Callable[[Kind], None]) -> Self:
        """Gives the same, telling `asked` of each request, attempt by attempt."""
        twin = copy.copy(self)
        twin._asked = asked
        return twin

    async def account(self) -> Account:
        """Gives whose requests the upstream counts."""
        return await self._dialogue.account()

    async def check(self) -> list[str]:
        """Raises UpstreamError unless the repository exists and its tags can be listed.

        Gives the first tags; a repository without any is good.
        """
        # Read, and not only asked for: many a web server answers every path with a page.
        async for page in self.tag_pages(page_size=1):
            return page
        return []

    def tag_pages(self, page_size: int = 1000) -> TagPages:
        """Lists the tags with an `async for`, in pages of about `page_size`."""
        return TagPages(self._upstream, page_size, self._ask_tags, self._tags_url())

    async def head_manifest(self, reference: str) -> Descriptor | None:
        """Asks what a tag or digest stands for; None where the answer to HEAD does not tell it whole."""
        wanted = parse_reference(reference)
        try:
            answer = await self._ask_manifest(reference, method="HEAD")
        except UpstreamInvalid:
            # Also of registries that have no HEAD: GET will tell.
            return None
        digest = self._header_digest(answer)
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        size = answer.headers.get("Content-Length", "")
        if digest is None or media_type not in INDEXES | IMAGES or not (size.isascii() and size.isdigit()):
            return None
        if isinstance(wanted, Digest) and wanted.algorithm == digest.algorithm and wanted != digest:
            raise self._invalid(f"answers with another digest than was asked for, {reference}")
        return Descriptor(media_type, wanted if isinstance(wanted, Digest) else digest, int(size))

    async def get_manifest(self, reference: str) -> Manifest:
        """Gets a manifest by tag or digest, verified against the digest asked for, else the one told."""
        wanted = parse_reference(reference)
        answer = await self._ask_manifest(reference)
        digest = wanted if isinstance(wanted, Digest) else self._header_digest(answer)
        try:
            return Manifest.parse(answer.body, answer.headers.get("Content-Type", ""), digest=digest)
        except InvalidManifest as error:
            problem = str(error).removeprefix("The manifest ").removesuffix(".")
            raise self._invalid(f"sent a manifest for {reference} that {problem}") from None

    async def referrers(self, subject: Digest) -> list[Descriptor] | None:
        """Lists the manifests that refer to one; None where the registry does not have that API."""
        what = f"the referrers of {self._upstream.repository}@{subject}"

        async def ask(url: URL) -> Answer:
            request = self._request(url, "GET", OCI_INDEX, Kind.REFERRERS)
            return await self._dialogue.ask(request, what=what, limit=MAX_SIZE)

        try:
            return await list_referrers(self._upstream.host, ask, self._url("referrers", str(subject)))
        except UpstreamNotFound:
            # With the API, a manifest without referrers, or that is not there, has an empty list.
            return None

    async def authorization(self, *, renew: bool = False) -> Authorization:
        """Gets what lets another process read this repository's blobs, from what is held if possible.

        `renew` says that what was given last has been refused.
        """
        if renew:
            await self._dialogue.forget()
        held = await self._dialogue.held()
        if held is None:
            try:
                await self.check()
            except UpstreamError:
                # With a token, it is only the listing that is not to be had, or not now.
                if await self._dialogue.held() is None:
                    raise
            held = await self._dialogue.held()
        return held or Authorization("", None)

    def _tags_url(self) -> URL:
        return self._url("tags", "list")

    def _url(self, kind: str, reference: str) -> URL:
        # Of checked parts that need no quoting; a digest's colon would otherwise get some.
        return URL(f"{self._base}/v2/{self._upstream.repository}/{kind}/{reference}", encoded=True)

    async def _ask_tags(self, url: URL) -> Answer:
        what = f"the tags of {self._upstream.repository}"
        return await self._dialogue.ask(
            self._request(url, "GET", "application/json", Kind.TAG_PAGES), what=what, limit=_TAG_PAGE_LIMIT
        )

    async def _ask_manifest(self, reference: str, method: str = "GET") -> Answer:
        kind = Kind.MANIFEST_HEADS if method == "HEAD" else Kind.MANIFEST_GETS
        request = self._request(self._url("manifests", reference), method, ACCEPT_MANIFESTS, kind)
        separator = "@" if ":" in reference else ":"
        what = f"the manifest {self._upstream.repository}{separator}{reference}"
        return await self._dialogue.ask(request, what=what, limit=MAX_SIZE)

    def _request(self, url: URL, method: str, accept: str, kind: Kind) -> Request:
        return Request(
            host=self._upstream.host,
            url=url,
            method=method,
            headers={"Accept": accept},
            of_content=kind is not Kind.TAG_PAGES,
            attempted=partial(self._asked, kind) if self._asked is not None else None,
        )

    def _header_digest(self, answer: Answer) -> Digest | None:
        text = answer.headers.get("Docker-Content-Digest")
        try:
            return None if text is None else Digest.parse(text.strip())
        except InvalidReference:
            raise self._invalid("names the digest of a manifest in a form that is none") from None

    def _invalid(self, problem: str) -> UpstreamInvalid:
        host, repository = self._upstream.host, self._upstream.repository
        return UpstreamInvalid(host, f"{host} {problem} (repository {repository}).")
