"""Who is let into a fake registry: user names with passwords, ECR's tokens, or tokens of a token server."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tests.fakes.ecr import ACCOUNT, USER, FakeEcr

if TYPE_CHECKING:
    # Its packages are those of the tests; the demonstration runs without them.
    from tests.servers.token_server import TokenServer


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not let in, as the registry says it."""

    status: int
    code: str
    message: str
    challenge: str = ""


class Gate(Protocol):
    """What stands before a fake registry."""

    def refuse(self, headers: Mapping[str, str], repository: str) -> Refusal | None:
        """Gives None for a request that is let in."""
        ...


@dataclass
class BasicGate:
    """Lets users in with their passwords; `tried` has every pair that was shown."""

    users: dict[str, str]
    tried: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, headers: Mapping[str, str], repository: str) -> Refusal | None:
        pair = basic_pair(headers)
        if pair is not None:
            self.tried.append(pair)
            if self.users.get(pair[0]) == pair[1]:
                return None
        return Refusal(401, "UNAUTHORIZED", "authentication required", 'Basic realm="fake"')


@dataclass
class EcrGate:
    """Lets in who has a token of `ecr` that has not ended; refuses as ECR's registries do.

    `expired_status` is what an ended token gets. `missing` names an IAM action that the key's owner lacks.
    """

    ecr: FakeEcr
    expired_status: int = 403
    missing: str = ""

    def refuse(self, headers: Mapping[str, str], repository: str) -> Refusal | None:
        user, password = basic_pair(headers) or ("", "")
        challenge = (
            f'Basic realm="https://{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/",service="ecr.amazonaws.com"'
        )
        if user != USER or password not in self.ecr.passwords:
            return Refusal(401, "UNAUTHORIZED", "Not Authorized", challenge)
        if not self.ecr.is_good(password):
            message = "Your authorization token has expired. Reauthenticate and try again."
            return Refusal(self.expired_status, "DENIED", message, challenge)
        if self.missing:
            message = (
                f"User: arn:aws:iam::{ACCOUNT}:user/penstock is not authorized to perform: {self.missing} on"
                f" resource: arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{repository}"
            )
            return Refusal(403, "DENIED", message)
        return None


@dataclass
class BearerGate:
    """Lets in who has any token that `tokens` issued; `realm` says otherwise where to get one."""

    tokens: "TokenServer"
    realm: str = ""

    def refuse(self, headers: Mapping[str, str], repository: str) -> Refusal | None:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer" and token in self.tokens.issued:
            return None
        challenge = (
            f'Bearer realm="{self.realm or self.tokens.realm}",service="fake",'
            f'scope="repository:{repository}:pull"'
        )
        return Refusal(401, "UNAUTHORIZED", "authentication required", challenge)


def basic_pair(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Reads user name and password of a Basic Authorization header."""
    scheme, _, credential = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(credential, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None
