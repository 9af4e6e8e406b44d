"""The registry: a request to its answer, whatever server it came through."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from clients.oci.digest import Digest
from dataplane.access import catalog as access
from dataplane.access.authorize import permit
from dataplane.access.principal import Principal
from dataplane.access.rules import Rules
from dataplane.access.sign_in import SignInRefused, SignIns
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.source import Source
from dataplane.config.configuration import ArtifactEntry, Configuration
from dataplane.config.state import ConfigState
from dataplane.events.recorder import Ended, Recorder
from dataplane.http import blobs, catalog, manifests, referrers, tags
from dataplane.http.errors import Code, Refusal
from dataplane.http.failures import FAILURES, refusal, unknown
from dataplane.http.message import Answer, Request
from dataplane.http.redirects import Redirects
from dataplane.http.target import Base, Blob, Catalog, Manifest, Referrers, Tags, Target, Upload, parse
from dataplane.http.transfers import Transfers
from dataplane.resolve.errors import Missing, Unknown
from dataplane.resolve.manifest import ResolvedManifest
from dataplane.resolve.manifests import Manifests
from dataplane.resolve.members import Members
from dataplane.resolve.reach import Reach
from dataplane.resolve.referrers import Referrer, ReferrerLists
from dataplane.resolve.tags import TagLists

_LOG = logging.getLogger(__name__)

API_VERSION: Final = ("Docker-Distribution-Api-Version", "registry/2.0")
"""On every answer: clients of old look for it."""

_READS: Final = ("GET", "HEAD")
_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="penstock"')
_ALLOW: Final = ("Allow", "GET, HEAD")
_SUPPORTED: Final = Answer.whole(200, (("Content-Type", "application/json"),), b"{}")


class Registry:
    """Authenticates, authorizes, resolves and answers.

    `source` gives where a blob can be fetched from. `count` is told route, method and status of each
    answer, `recorder` of pulls. `clock` gives seconds since the epoch, for the expiry of tokens.
    """

    def __init__(
        self,
        state: ConfigState,
        sign_ins: SignIns,
        manifests: Manifests,
        members: Members,
        reach: Reach,
        tag_lists: TagLists,
        referrer_lists: ReferrerLists,
        cache: BlobCache,
        source: Callable[[ArtifactEntry, Digest], Source],
        transfers: Transfers,
        count: Callable[[str, str, int], None],
        redirects: Redirects | None = None,
        recorder: Recorder | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._sign_ins = sign_ins
        self._manifests = manifests
        self._members = members
        self._reach = reach
        self._catalog = access.Catalog()
        self._tag_lists = tag_lists
        self._referrer_lists = referrer_lists
        self._cache = cache
        self._source = source
        self._transfers = transfers
        self._count = count
        self._redirects = redirects
        self._recorder = recorder
        self._clock = clock

    async def answer(self, request: Request) -> Answer:
        """Answer any request, with an error body where it cannot have what it asks for. Does not raise."""
        route = "none"
        try:
            target = parse(request.target)
            route = type(target).__name__.lower()
            answer = await self._answer(request, target)
        except Refusal as refused:
            answer = refused.answer()
        except FAILURES as failure:
            answer = refusal(failure).answer()
        except Exception:  # noqa: BLE001 - the client is told something whatever happened
            _LOG.exception("A request could not be answered: %s %.200s", request.method, request.target)
            answer = Refusal(Code.UNKNOWN, "This node failed to answer; its log says why.").answer()
        self._count(route, request.method, answer.status)
        return complete(answer, route)

    async def _answer(self, request: Request, target: Target) -> Answer:
        configuration = self._state.configuration
        if configuration is None:
            raise Refusal(Code.UNAVAILABLE, "This node has not got its configuration yet.")
        now = self._clock()
        principal = self._sign_in(request, configuration, now)
        if isinstance(target, Base):
            _check_method(request)
            return _SUPPORTED
        if isinstance(target, Catalog):
            _check_method(request)
            limit = catalog.limit_of(target)
            names, more = self._catalog.page(principal, configuration, now, limit, target.last)
            return catalog.answer(target, names, more=more)
        permitted = permit(principal, target.repository, configuration, now)
        # Only for deletion does the specification want to hear of a missing repository first.
        if permitted is None and request.method == "DELETE":
            raise unknown(Missing.ARTIFACT)
        _check_method(request)
        if permitted is None:
            raise unknown(Missing.ARTIFACT)
        return await self._found(request, target, principal, *permitted)

    def _sign_in(self, request: Request, configuration: Configuration, now: float) -> Principal:
        try:
            return self._sign_ins.admit(request.authorization, request.address, configuration, now)
        except SignInRefused as refused:
            if refused.wait:
                raise Refusal(
                    Code.TOOMANYREQUESTS,
                    "Too many sign-ins were refused; wait, and log in with an access token that is good.",
                    retry_after=refused.wait,
                ) from None
            raise Refusal(
                Code.UNAUTHORIZED,
                "Log in with an access token as the password; any user name will do.",
                headers=(_CHALLENGE,),
            ) from None

    async def _found(
        self,
        request: Request,
        target: Manifest | Blob | Tags | Referrers | Upload,
        principal: Principal,
        artifact: ArtifactEntry,
        rules: Rules | None,
    ) -> Answer:
        match target:
            case Manifest():
                reference = target.reference
                if rules is not None:
                    await self._reach.require(artifact, reference, rules, Missing.MANIFEST)
                manifest = await self._manifests.get(artifact, reference)
                answer = manifests.answer(request, manifest)
                self._note_manifest(request, principal, artifact, reference, manifest, answer)
                return answer
            case Blob():
                digest = target.digest
                if rules is not None:
                    await self._reach.require(artifact, digest, rules, Missing.BLOB)
                size = await self._members.size(artifact, digest)
                source = self._source(artifact, digest)
                redirects, address = self._redirects, request.address
                return await blobs.answer(
                    request,
                    digest,
                    size,
                    lambda: self._cache.open(digest, size, source, owner=artifact.organization_uid),
                    lambda: self._transfers.begin(principal.token_uid, request.address),
                    None if redirects is None else partial(redirects.location, digest, size, address),
                    partial(self._note, request, principal, artifact, digest),
                )
            case Tags():
                return tags.answer(request, target, await self._tag_lists.get(artifact, rules))
            case Referrers():
                return referrers.answer(target, await self._referrers(artifact, target.digest, rules))
            case Upload():
                raise Refusal(Code.BLOB_UPLOAD_UNKNOWN, "This registry is read-only: it has no uploads.")

    async def _referrers(
        self, artifact: ArtifactEntry, subject: Digest, rules: Rules | None
    ) -> Sequence[Referrer]:
        if rules is not None:
            try:
                await self._reach.require(artifact, subject, rules, Missing.MANIFEST)
            except Unknown as error:
                if error.missing is not Missing.MANIFEST:
                    raise
                # What is not there has no referrers.
                return ()
        return await self._referrer_lists.get(artifact, subject)

    def _note_manifest(
        self,
        request: Request,
        principal: Principal,
        artifact: ArtifactEntry,
        reference: str | Digest,
        manifest: ResolvedManifest,
        answer: Answer,
    ) -> None:
        recorder, now = self._recorder, self._clock()
        if recorder is None:
            return
        sent = request.method == "GET" and answer.status == 200
        key = (artifact.uid, principal.token_uid, request.address, request.agent, reference, sent)
        if not recorder.again(key, principal, manifest, now):
            who = (principal, artifact, request.address, request.agent)
            recorder.manifest(key, *who, reference, manifest, now, sent=sent)

    def _note(
        self,
        request: Request,
        principal: Principal,
        artifact: ArtifactEntry,
        digest: Digest,
        length: int,
        *,
        warm: bool,
        part: bool,
        redirected: int = 0,
    ) -> Ended:
        """Note what of a blob is asked for, and give what is to be told what was sent of it."""
        if self._recorder is None:
            return lambda _: None
        return self._recorder.blob(
            *(principal, artifact, request.address, request.agent, digest, length, self._clock()),
            warm=warm,
            part=part,
            redirected=redirected,
        )


def complete(answer: Answer, route: str = "none") -> Answer:
    """Add what every answer of a registry has, and its route."""
    return replace(answer, headers=(*answer.headers, API_VERSION), route=route)


def _check_method(request: Request) -> None:
    if request.method not in _READS:
        raise Refusal(
            Code.UNSUPPORTED,
            "This registry is read-only: push to the upstream of the artifact.",
            headers=(_ALLOW,),
        )
