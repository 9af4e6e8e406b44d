"""A token service for docker-registry (distribution's token authentication), which issues real JWTs."""

import base64
import binascii
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes.endpoint import Endpoint, Received, Reply
from tests.servers.certificates import signing_pair

ISSUER = "token-server-of-the-tests"


class TokenServer(Endpoint):
    """Issues tokens at `/token`: to anybody for repositories below `public/`, to its users for all.

    Tokens are signed with RS256 and carry their certificate (`x5c`), which `bundle` has for the registry.
    `lifetime` is in seconds; docker-registry goes on taking a token for a minute after its end.
    """

    def __init__(self, directory: Path, users: Mapping[str, str], *, lifetime: int = 300) -> None:
        super().__init__()
        self.users = dict(users)
        self.lifetime = lifetime
        self.issued: list[str] = []
        certificate, self._key, pair = signing_pair(directory, "token-server")
        self._x5c = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
        self.bundle = pair.certificate

    @property
    def realm(self) -> str:
        return f"{self.url}/token"

    def answer(self, received: Received) -> Reply:
        """Answers as the specification's section "Requesting a Token" has it."""
        user = self._user(received.headers.get("Authorization", ""))
        if user is None:
            return _json({"details": "incorrect username or password"}, 401)
        scopes = " ".join(received.query.get("scope", [])).split()
        service = received.query.get("service", [""])[0]
        token = self._token(user, service, [access for scope in scopes if (access := _access(scope, user))])
        self.issued.append(token)
        return _json({"token": token, "expires_in": self.lifetime})

    def _user(self, authorization: str) -> str | None:
        # "" is nobody in particular; None is somebody who only pretends.
        if not authorization:
            return ""
        scheme, _, credential = authorization.partition(" ")
        try:
            name, _, password = base64.b64decode(credential, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return name if scheme == "Basic" and self.users.get(name) == password else None

    def _token(self, user: str, service: str, access: list[dict[str, object]]) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": service,
            "iat": now,
            "nbf": now - 10,
            "exp": now + self.lifetime,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"x5c": [self._x5c]})


def _access(scope: str, user: str) -> dict[str, object] | None:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    if not user:
        actions = "pull" if name.startswith("public/") and "pull" in actions.split(",") else ""
    return {"type": kind, "name": name, "actions": actions.split(",")} if actions else None


def _json(document: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
