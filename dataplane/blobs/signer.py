"""URLs with which anybody may read one object of a bucket, for a short while."""

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlsplit

from dataplane.blobs.bucket_client import BucketClient

LASTS: Final = 300
"""Seconds; what has begun in time goes on to its end, and clocks need not agree to the second."""
_SERVICE: Final = "s3"
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Signer:
    """Signs GET requests in the query of their URL (AWS Signature Version 4); `start` it first.

    The library takes twenty times as long, which with redirects is most of what a request costs. So it
    is asked once, for where the bucket is: endpoints, regions and names of hosts are its business.
    """

    def __init__(self, client: BucketClient, endpoint: str, clock: Callable[[], float] = time.time) -> None:
        """Sign with the client's credentials; endpoint is the server as the readers know it.

        `clock` gives seconds since the epoch.
        """
        self._client = client
        self._endpoint = endpoint
        self._clock = clock
        self._scheme = self._host = self._folder = ""
        self._key: tuple[str, str, bytes] = ("", "", b"")

    async def start(self) -> None:
        """Find out where the bucket is; asks nobody."""
        from botocore import UNSIGNED  # noqa: PLC0415 - see BucketClient

        async with self._client.connect(self._endpoint, signature_version=UNSIGNED) as client:
            base = await client.generate_presigned_url(
                "get_object", Params={"Bucket": self._client.place.bucket, "Key": "-"}
            )
        parts = urlsplit(base)
        self._scheme, self._folder = parts.scheme, parts.path.removesuffix("-")
        # Clients differ in whether they send a port that goes without saying, and the host is signed.
        goes_without_saying = parts.port == _DEFAULT_PORTS.get(parts.scheme)
        self._host = parts.netloc.rpartition(":")[0] if goes_without_saying else parts.netloc

    async def url(self, key: str) -> str | None:
        """Give the URL of an object, good for a GET of it or of any part; None without credentials.

        Waits only where credentials that end are to be renewed.
        """
        credentials = await self._client.session.get_credentials()
        if credentials is None:
            return None
        frozen = await credentials.get_frozen_credentials()
        now = time.gmtime(self._clock())
        stamp, date = time.strftime("%Y%m%dT%H%M%SZ", now), time.strftime("%Y%m%d", now)
        scope = f"{date}/{self._client.region}/{_SERVICE}/aws4_request"
        fields = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{frozen.access_key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(LASTS),
            "X-Amz-Security-Token": frozen.token or "",
            "X-Amz-SignedHeaders": "host",
        }
        query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in fields.items() if value)
        path = self._folder + quote(key, safe="/-_.~")
        canonical = f"GET\n{path}\n{query}\nhost:{self._host}\n\nhost\nUNSIGNED-PAYLOAD"
        text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = _hmac(self._signing_key(frozen.secret_key, scope), text).hex()
        return f"{self._scheme}://{self._host}{path}?{query}&X-Amz-Signature={signature}"

    def _signing_key(self, secret: str, scope: str) -> bytes:
        if self._key[:2] != (secret, scope):
            key = f"AWS4{secret}".encode()
            for part in scope.split("/"):
                key = _hmac(key, part)
            self._key = (secret, scope, key)
        return self._key[2]


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
