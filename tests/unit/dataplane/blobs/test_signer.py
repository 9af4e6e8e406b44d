"""Signed URLs are those that AWS's own library makes."""

import datetime

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from dataplane.blobs.bucket_client import BucketClient
from dataplane.blobs.place import Place
from dataplane.blobs.signer import LASTS, Signer

NOW = datetime.datetime(2026, 11, 25, 23, 59, 59, tzinfo=datetime.UTC)


@pytest.mark.parametrize("token", ["", "a session's/token+with==signs"])
@pytest.mark.parametrize(
    ("endpoint", "base"),
    [
        ("", "https://our-bucket.s3.eu-central-1.amazonaws.com/"),
        ("https://s3.example.com", "https://s3.example.com/our-bucket/"),
        ("https://s3.example.com:443", "https://s3.example.com/our-bucket/"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/our-bucket/"),
    ],
)
async def test_urls_are_those_of_the_library(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, base: str, token: str
) -> None:
    """The same signature, byte for byte, for every kind of endpoint, credential and key."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "a/secret+key"),
        ("AWS_SESSION_TOKEN", token),
        ("AWS_REGION", "eu-central-1"),
    ):
        monkeypatch.setenv(name, value)
    now = NOW.timestamp()
    signer = Signer(BucketClient(Place("our-bucket", endpoint="http://inside:1")), endpoint, lambda: now)
    await signer.start()
    credentials = ReadOnlyCredentials("AKIDEXAMPLE", "a/secret+key", token or None)

    for key, path in (("blobs/sha256/00ff", "blobs/sha256/00ff"), ("a b/ü&=~_", "a%20b/%C3%BC%26%3D~_")):
        for later in (0, 1):
            now = NOW.timestamp() + later
            moment = (NOW + datetime.timedelta(seconds=later)).replace(tzinfo=None)
            monkeypatch.setattr("botocore.auth.get_current_datetime", lambda moment=moment: moment)
            request = AWSRequest(method="GET", url=base + path)
            S3SigV4QueryAuth(credentials, "s3", "eu-central-1", expires=LASTS).add_auth(request)

            url = await signer.url(key)
            assert url is not None
            (where, query), (wanted, fields) = (one.split("?") for one in (url, request.url))
            assert where == wanted
            assert sorted(query.split("&")) == sorted(fields.split("&"))


async def test_nothing_is_signed_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no URL then, and no error."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    signer = Signer(BucketClient(Place("our-bucket")), "")
    await signer.start()
    assert await signer.url("key") is None
