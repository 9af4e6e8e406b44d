"""Reading one upstream repository (distribution specification, "Pull" and "Content Discovery")."""

from dataclasses import replace

from yarl import URL

from clients.oci.descriptor import Descriptor
from clients.oci.digest import Digest
from clients.oci.errors import UpstreamDenied, UpstreamInvalid, UpstreamNotFound
from clients.oci.failure import refusal
from clients.oci.manifest import MAX_SIZE, InvalidManifest, Manifest
from clients.oci.media_types import ACCEPT_MANIFESTS, IMAGES, INDEXES
from clients.oci.origin import Origin
from clients.oci.reference import InvalidReference, parse_reference
from clients.oci.request import Answer, Request
from clients.oci.tags import TagPages
from clients.oci.token import Authorization
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream

_TAG_PAGE_LIMIT = 4 * 1024 * 1024


class Registry:
    """One upstream repository; cheap to make, since connections and tokens belong to the transport.

    All methods raise UpstreamError, and InvalidReference for a reference that is none.
    """

    def __init__(self, transport: Transport, upstream: Upstream) -> None:
        self._transport = transport
        self._upstream = upstream
        self._base = URL(upstream.base_url)

    async def check(self) -> None:
        """Raises UpstreamError unless the repository exists and its tags can be listed."""
        # Read, and not only asked for: many a web server answers every path with a page.
        async for _ in self.tag_pages(page_size=1):
            return

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

    async def authorization(self, *, renew: bool = False) -> Authorization:
        """Gets what lets another process read this repository's blobs, from what is held if possible.

        `renew` says that what was given last has been refused.
        """
        tokens = self._transport.tokens
        if renew:
            tokens.forget(self._upstream)
        if tokens.held(self._upstream) is None:
            try:
                await self.check()
            except (UpstreamDenied, UpstreamInvalid, UpstreamNotFound):
                # With a token, it is only the listing that is not to be had.
                if tokens.held(self._upstream) is None:
                    raise
        return tokens.held(self._upstream) or Authorization("", None)

    def _tags_url(self) -> URL:
        return self._url("tags", "list")

    def _url(self, kind: str, reference: str) -> URL:
        # Of checked parts that need no quoting; a digest's colon would otherwise get some.
        return URL(f"{self._base}/v2/{self._upstream.repository}/{kind}/{reference}", encoded=True)

    async def _ask_tags(self, url: URL) -> Answer:
        what = f"the tags of {self._upstream.repository}"
        return await self._ask(
            self._request(url, "GET", "application/json"), what=what, limit=_TAG_PAGE_LIMIT
        )

    async def _ask_manifest(self, reference: str, method: str = "GET") -> Answer:
        request = self._request(self._url("manifests", reference), method, ACCEPT_MANIFESTS)
        separator = "@" if ":" in reference else ":"
        what = f"the manifest {self._upstream.repository}{separator}{reference}"
        return await self._ask(request, what=what, limit=MAX_SIZE)

    def _request(self, url: URL, method: str, accept: str) -> Request:
        # A next page may be elsewhere, where the listing was redirected to.
        held = self._transport.tokens.held(self._upstream) if self._is_own(url) else None
        return Request(
            host=self._upstream.host,
            url=url,
            method=method,
            headers={"Accept": accept},
            authorization=held.value if held else "",
        )

    async def _ask(self, request: Request, *, what: str, limit: int) -> Answer:
        tokens = self._transport.tokens
        answer = await self._transport.fetch(request, limit=limit)
        if answer.status == 401 and self._is_own(answer.url):
            challenges = answer.headers.getall("WWW-Authenticate", [])
            authorization = await tokens.obtain(self._upstream, challenges, refused=request.authorization)
            request = replace(request, authorization=authorization.value)
            answer = await self._transport.fetch(request, limit=limit)
        elif answer.status == 200 and not request.authorization and self._is_own(answer.url):
            tokens.wants_none(self._upstream)
        if answer.status != 200:
            raise refusal(
                self._upstream.host,
                what,
                answer.status,
                answer.headers,
                answer.body,
                secret=request.authorization,
            )
        return answer

    def _is_own(self, url: URL) -> bool:
        return Origin.of(url) == Origin.of(self._base)

    def _header_digest(self, answer: Answer) -> Digest | None:
        text = answer.headers.get("Docker-Content-Digest")
        try:
            return None if text is None else Digest.parse(text.strip())
        except InvalidReference:
            raise self._invalid("names the digest of a manifest in a form that is none") from None

    def _invalid(self, problem: str) -> UpstreamInvalid:
        host, repository = self._upstream.host, self._upstream.repository
        return UpstreamInvalid(host, f"{host} {problem} (repository {repository}).")
