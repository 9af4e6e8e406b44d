"""Requests to one upstream repository, with what authentication it asks for."""

from dataclasses import replace

from yarl import URL

from clients.oci.credential import Basic, CredentialSource, Fixed
from clients.oci.errors import CredentialRefused, UpstreamRateLimited
from clients.oci.failure import refusal
from clients.oci.origin import Origin
from clients.oci.reader import Authorization, Reader
from clients.oci.request import Account, Answer, Request
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream


class Dialogue:
    """Asks as the owner of a credential, or of none; one that ends meanwhile is renewed unnoticed."""

    def __init__(
        self,
        transport: Transport,
        upstream: Upstream,
        credential: Basic | CredentialSource | None,
        ca_certificates: str,
    ) -> None:
        self._transport = transport
        self._upstream = upstream
        self._own = Origin.of(URL(upstream.base_url))
        self._ca_certificates = ca_certificates
        self._source: CredentialSource = (
            Fixed(credential) if credential is None or isinstance(credential, Basic) else credential
        )

    async def account(self) -> Account:
        """Gives whose requests the upstream counts; raises UpstreamError."""
        return self._account(await self._source.get())

    async def held(self) -> Authorization | None:
        """Gives what is known to read the repository; None when nothing is known."""
        return self._transport.tokens.held(self._reader(await self._source.get()))

    async def forget(self) -> None:
        """Drops what is known, so that it is found out anew."""
        self._transport.tokens.forget(self._reader(await self._source.get()))

    async def ask(self, request: Request, *, what: str, limit: int) -> Answer:
        """Sends a request and gives the answer if it is 200; raises UpstreamError.

        While the upstream has asked to be left alone, with a 429, nothing is sent.
        """
        credential = await self._source.get()
        try:
            answer = await self._exchange(request, credential, what, limit)
        except CredentialRefused as error:
            another = None if credential is None else await self._source.get(refused=credential)
            if another is None or another == credential:
                self._source.rejected(error)
                raise
            try:
                answer = await self._exchange(request, another, what, limit)
            except CredentialRefused as again:
                self._source.rejected(again)
                raise
        return answer

    async def _exchange(self, request: Request, credential: Basic | None, what: str, limit: int) -> Answer:
        account = self._account(credential)
        self._leave_alone(account, what)
        tokens, reader = self._transport.tokens, self._reader(credential)
        # A next page may be elsewhere, where the listing was redirected to.
        held = tokens.held(reader) if self._is_own(request.url) else None
        request = replace(
            request,
            username=account.username,
            authorization=held.value if held else "",
            ca_certificates=self._ca_certificates,
            ca_host=self._own.host,
        )
        answer = await self._transport.fetch(request, limit=limit)
        if answer.status == 401 and self._is_own(answer.url):
            if credential is not None and request.authorization == credential.header:
                tokens.forget(reader)
                raise tokens.attempts.refuse(self._upstream, credential)
            challenges = answer.headers.getall("WWW-Authenticate", [])
            authorization = await tokens.obtain(reader, challenges, refused=request.authorization)
            request = replace(request, authorization=authorization.value)
            if credential is not None and authorization.value == credential.header:
                answer = await self._introduce(request, reader, credential, limit)
            else:
                answer = await self._transport.fetch(request, limit=limit)
        elif answer.status == 200 and not request.authorization and self._is_own(answer.url):
            tokens.wants_none(reader)
        if answer.status == 200:
            if request.authorization and credential is not None:
                self._source.accepted()
            return answer
        if answer.status == 403 and request.method == "HEAD":
            # Why is in the body, which an answer to HEAD has not.
            answer = await self._transport.fetch(replace(request, method="GET"), limit=limit)
        raise self._refusal(request, answer, what)

    async def _introduce(self, request: Request, reader: Reader, credential: Basic, limit: int) -> Answer:
        """Shows the credential itself to a registry that wants it, and takes note of what came of it."""
        tokens = self._transport.tokens
        async with tokens.attempts.trial(self._upstream, credential):
            answer = await self._transport.fetch(request, limit=limit)
            if answer.status == 401:
                raise tokens.attempts.refuse(self._upstream, credential)
            if answer.status in (200, 403, 404):
                tokens.attempts.accept(self._upstream, credential)
                tokens.takes_basic(reader)
        return answer

    def _leave_alone(self, account: Account, what: str) -> None:
        pause = self._transport.rates.pause(account)
        if pause:
            raise UpstreamRateLimited(
                account.host,
                f"{account.host} asked for fewer requests: {what} can be asked for again in"
                f" {max(1, round(pause))} seconds.",
                retry_after=pause,
            )

    def _account(self, credential: Basic | None) -> Account:
        return Account(self._upstream.host, "" if credential is None else credential.username)

    def _refusal(self, request: Request, answer: Answer, what: str) -> Exception:
        host = self._upstream.host
        # ECR's answer to a token that has ended; it sends no challenge.
        if answer.status == 403 and request.authorization and b"token has expired" in answer.body:
            return CredentialRefused(host, f"The authorization for {host} has expired.")
        return refusal(host, what, answer.status, answer.headers, answer.body, secret=request.authorization)

    def _reader(self, credential: Basic | None) -> Reader:
        return Reader(self._upstream, credential, self._ca_certificates)

    def _is_own(self, url: URL) -> bool:
        return Origin.of(url) == self._own
