"""Amazon ECR's API as far as pulling needs it: GetAuthorizationToken, with tokens that a test lets expire.

The tokens are as long as real ones. Requests are checked as AWS does: key, signature, session token.
"""

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.fakes.endpoint import Endpoint, Received, Reply
from tests.fakes.sigv4 import Signature

ACCOUNT = "123456789012"
USER = "AWS"
TARGET = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
# Seconds; as ECR's.
LIFETIME = 12 * 3600.0
# Bytes of which a password is made; in base64 it is longer than headers' usual limits of old.
_PASSWORD_BYTES = 1350


@dataclass(frozen=True, slots=True)
class AwsError:
    """An error that AWS answers with instead of a token."""

    type: str
    message: str
    status: int = 400


ACCESS_DENIED = AwsError(
    "AccessDeniedException",
    f"User: arn:aws:iam::{ACCOUNT}:user/penstock is not authorized to perform: ecr:GetAuthorizationToken on"
    " resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action",
)
UNRECOGNIZED = AwsError(
    "UnrecognizedClientException", "The security token included in the request is invalid."
)
EXPIRED = AwsError("ExpiredTokenException", "The security token included in the request is expired")
THROTTLED = AwsError("ThrottlingException", "Rate exceeded")
BAD_SIGNATURE = AwsError(
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret"
    " Access Key and signing method.",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request for a token that was let in or not."""

    access_key_id: str
    region: str
    session_token: str


class FakeEcr(Endpoint):
    """The ECR API of one account, with one access key; use as a context manager.

    `error`, when set, is answered instead of a token. `offset` moves its clock: seconds ahead of real time.
    `calls` has every signed request for a token.
    """

    def __init__(self, *, host: str = "127.0.0.1", lifetime: float = LIFETIME) -> None:
        super().__init__(host=host)
        self.access_key_id = f"AKIA{secrets.token_hex(8).upper()}"
        self.secret_access_key = secrets.token_urlsafe(30)
        # What requests have to carry when the key is a temporary one; empty for one that lasts.
        self.session_token = ""
        self.lifetime = lifetime
        self.offset = 0.0
        self.error: AwsError | None = None
        self.calls: list[Call] = []
        # Passwords for the registry, with their ends.
        self.passwords: dict[str, float] = {}

    def now(self) -> float:
        """Its time, in seconds since the epoch."""
        return time.time() + self.offset

    def is_good(self, password: str) -> bool:
        """Whether the registry takes a password now."""
        return self.passwords.get(password, 0) > self.now()

    def expire(self) -> None:
        """Lets every password that was issued end a second ago, without anybody being told."""
        for password in self.passwords:
            self.passwords[password] = self.now() - 1

    def answer(self, received: Received) -> Reply:
        """Answers one call of the API (JSON protocol 1.1)."""
        signature = Signature.of(received)
        if received.headers.get("X-Amz-Target") != TARGET or signature is None:
            return _refuse(AwsError("MissingAuthenticationTokenException", "Missing Authentication Token"))
        session_token = received.headers.get("X-Amz-Security-Token", "")
        self.calls.append(Call(signature.access_key_id, signature.region, session_token))
        if self.error is not None:
            return _refuse(self.error)
        if (signature.access_key_id, session_token) != (self.access_key_id, self.session_token):
            return _refuse(UNRECOGNIZED)
        if signature.service != "ecr" or not signature.is_by(self.secret_access_key, received):
            return _refuse(BAD_SIGNATURE)
        return _json({"authorizationData": [self._issue(signature.region)]})

    def _issue(self, region: str) -> Mapping[str, object]:
        password = base64.b64encode(secrets.token_bytes(_PASSWORD_BYTES)).decode()
        self.passwords[password] = ends = self.now() + self.lifetime
        return {
            "authorizationToken": base64.b64encode(f"{USER}:{password}".encode()).decode(),
            "expiresAt": round(ends, 3),
            "proxyEndpoint": f"https://{ACCOUNT}.dkr.ecr.{region}.amazonaws.com",
        }


def _refuse(error: AwsError) -> Reply:
    return _json({"__type": error.type, "message": error.message}, error.status)


def _json(document: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/x-amz-json-1.1"})
