"""From the Authorization of a request to its caller."""

import base64
import binascii
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import grpc
from sqlmodel import select

from clients.control.token import TokenKind, is_well_formed, sha256
from controlplane.api.caller import Caller
from controlplane.api.errors import ApiError, unauthenticated
from controlplane.model.database import Database
from controlplane.model.roles import effective_role
from controlplane.model.tables import AccessToken, Node, User

_BEARERS: Final = frozenset({"bearer", "accesstoken"})
_LONGEST: Final = 1024
# Seconds for which a node is known again: it asks many things in a row, while a client waits.
_NODE_KNOWN: Final = 1.0


class SignInRefused(ApiError):
    """UNAUTHENTICATED for a token that is not taken; `token_uid` is of one that ended, else empty."""

    def __init__(self, reason: str, sentence: str, token_uid: str = "") -> None:
        super().__init__(grpc.StatusCode.UNAUTHENTICATED, reason, sentence)
        self.token_uid = token_uid


class Authenticator:
    """Looks tokens up, those of users each time anew: one that was revoked is refused from that moment on.

    A node that was deleted in another process is refused a second later. `clock` counts seconds.

    Nothing is compared with a secret, so no time tells how much of a guess was right: rows are found by the
    SHA-256 of the whole token, which says nothing of tokens that begin alike.
    """

    def __init__(
        self, database: Database, now: Callable[[], datetime], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._now = now
        self._clock = clock
        # Callers that are nodes, and until when they need not be looked up, by the hash of their token.
        self._nodes: dict[bytes, tuple[Caller, float]] = {}

    async def caller(self, authorization: str) -> Caller:
        """Give who owns the token of an Authorization value; raises ApiError UNAUTHENTICATED."""
        token = token_of(authorization)
        if not token:
            raise unauthenticated(
                "CREDENTIALS_MISSING", "This needs a token: send `authorization: Bearer <token>`."
            )
        if not is_well_formed(token):
            raise SignInRefused(
                "TOKEN_INVALID", "This is not a token of Penstock: check that all of it was copied."
            )
        digest = sha256(token)
        caller = await (self._node(digest) if token.startswith(TokenKind.NODE) else self._user(digest))
        if caller is None:
            raise SignInRefused(
                "TOKEN_INVALID", "The token is not known here: it was revoked, or is of another installation."
            )
        return caller

    def forget_nodes(self) -> None:
        """Look every node up anew: one was deleted."""
        self._nodes = {}

    async def _node(self, digest: bytes) -> Caller | None:
        now = self._clock()
        known = self._nodes.get(digest)
        if known is not None and now < known[1]:
            return known[0]
        # Not what was read before one was deleted.
        nodes = self._nodes = {each: known for each, known in self._nodes.items() if now < known[1]}
        async with self._database.read() as session:
            uid = (await session.exec(select(Node.uid).where(Node.sha256 == digest))).first()
        if uid is None:
            return None
        caller = Caller(node_uid=uid)
        if nodes is self._nodes:
            nodes[digest] = caller, now + _NODE_KNOWN
        return caller

    async def _user(self, digest: bytes) -> Caller | None:
        async with self._database.read() as session:
            found = (
                await session.exec(
                    select(AccessToken, User).where(
                        AccessToken.sha256 == digest, AccessToken.user_id == User.id
                    )
                )
            ).first()
        if found is None:
            return None
        token, user = found
        if token.expire_time is not None and token.expire_time <= self._now():
            raise _expired(token.expire_time, token.uid)
        return Caller(
            user_uid=user.uid,
            email=user.email,
            role=effective_role(user.role, token.role),
            organization_id=user.organization_id,
            customer_id=user.customer_id,
            token_uid=token.uid,
        )


def token_of(authorization: str) -> str:
    """Take the token out of an Authorization value, empty where it has none.

    `Bearer <token>`, `AccessToken <token>`, or the password of Basic, whose user name says nothing.
    """
    scheme, _, credentials = authorization[:_LONGEST].strip().partition(" ")
    credentials = credentials.strip()
    if scheme.lower() in _BEARERS:
        return credentials
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _expired(moment: datetime, token_uid: str) -> SignInRefused:
    return SignInRefused(
        "TOKEN_EXPIRED",
        f"The token expired at {moment:%Y-%m-%d %H:%M:%S} UTC: create a new one.",
        token_uid,
    )
