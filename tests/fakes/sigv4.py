"""Checks requests that were signed for AWS (Signature Version 4), as AWS does."""

import hashlib
import hmac
import re
from dataclasses import dataclass

from tests.fakes.endpoint import Received

_ALGORITHM = "AWS4-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM} Credential=(?P<key>[^/]+)"
    r"/(?P<scope>\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request)"
    r", ?SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a request, and for what."""

    access_key_id: str
    region: str
    service: str
    scope: str
    signed_headers: tuple[str, ...]
    value: str

    @classmethod
    def of(cls, received: Received) -> "Signature | None":
        """Reads the Authorization header; None for one that is no signature."""
        match = _AUTHORIZATION.fullmatch(received.headers.get("Authorization", ""))
        if match is None:
            return None
        headers = tuple(match["headers"].split(";"))
        return cls(
            match["key"], match["region"], match["service"], match["scope"], headers, match["signature"]
        )

    def is_by(self, secret_access_key: str, received: Received) -> bool:
        """Tells whether the owner of this key signed exactly this request."""
        path, _, query = received.path.partition("?")
        headers = "".join(
            f"{name}:{' '.join((received.headers[name] or '').split())}\n" for name in self.signed_headers
        )
        canonical = "\n".join(
            [received.method, path, query, headers, ";".join(self.signed_headers), _sha256(received.body)]
        )
        text = "\n".join(
            [_ALGORITHM, received.headers["X-Amz-Date"] or "", self.scope, _sha256(canonical.encode())]
        )
        key = f"AWS4{secret_access_key}".encode()
        for part in self.scope.split("/"):
            key = _hmac(key, part)
        return hmac.compare_digest(_hmac(key, text).hex(), self.value)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
