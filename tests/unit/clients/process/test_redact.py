"""Secrets are taken out of what somebody will read."""

import pytest

from clients.control.token import TokenKind, new_token
from clients.process.redact import names_secret, redact

USER, NODE = new_token(TokenKind.USER), new_token(TokenKind.NODE)
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"the token {USER} was refused", USER),
        (f"nodes use {NODE}.", NODE),
        (f"cut off {USER[:20]}", USER[:20]),
        (f"Authorization: Basic {SECRET}", SECRET),
        (f"authorization: Bearer {SECRET}", SECRET),
        (f"Authorization: AccessToken {SECRET}", SECRET),
        (f"Authorization: {SECRET}", SECRET),
        (f"{{'Authorization': 'Bearer {SECRET}'}}", SECRET),
        (f'{{"authorization": "Basic {SECRET}", "x": 1}}', SECRET),
        (f"(('authorization', 'Bearer {SECRET}'),)", SECRET),
        (f"(b'Authorization', b'Basic {SECRET}')", SECRET),
        (f"sent Bearer {SECRET} to it", SECRET),
        ("https://alice:hunter2@registry.example.com/v2/", "hunter2"),
        ("postgresql://penstock:hunter2@db:5432/penstock", "hunter2"),
        ("redis://:hunter2@cache", "hunter2"),
        ("postgresql+asyncpg://penstock:p@ss:word@db/penstock", "ss:word"),
        (f"GET https://bucket.s3.amazonaws.com/b?X-Amz-Date=1&X-Amz-Signature={SECRET}&x=1", SECRET),
        (f"https://cdn.example.com/b?Expires=1&Signature={SECRET}", SECRET),
        (f"https://blob.core.windows.net/b?sv=1&sig={SECRET}", SECRET),
        (f"https://auth.example.com/token?service=x&refresh_token={SECRET}", SECRET),
        (f"https://production.cloudflare.docker.com/b?verify=1764159-{SECRET}", SECRET),
        (f"https://cdn01.quay.io/b?cf_expiry=1&cf_sign={SECRET}", SECRET),
        (f"https://bucket.s3.amazonaws.com/b?X-Amz-Credential={SECRET}%2F20261126%2Fs3", SECRET),
        (f"https://bucket.s3.amazonaws.com/b?X-Amz-Security-Token={SECRET}&X-Amz-Expires=60", SECRET),
        (f"https://bucket.s3.amazonaws.com/b?AWSAccessKeyId={SECRET}&Expires=1", SECRET),
        (f"https://storage.googleapis.com/b?X-Goog-Algorithm=x&X-Goog-Signature={SECRET}", SECRET),
        (f"https://storage.googleapis.com/b?X-Goog-Credential={SECRET}", SECRET),
        (f"https://d1.cloudfront.net/b?Policy={SECRET}&Key-Pair-Id=K1", SECRET),
        (f"https://d1.cloudfront.net/b?Expires=1&Key-Pair-Id={SECRET}", SECRET),
        (f"https://x.blob.core.windows.net/b?sv=1&sp=r&sig={SECRET}%3D", SECRET),
        (f"https://x.akamaized.net/b?hdnea=exp=1~acl=/*~hmac={SECRET}", SECRET),
        (f"https://x.akamaized.net/b?hdnts=exp=1~hmac={SECRET}", SECRET),
        (f"https://x.akamaized.net/b?__token__=exp=1~hmac={SECRET}", SECRET),
        (f"https://x.fastly.net/b?token=1764159_{SECRET}", SECRET),
        (f"https://x.oss-cn-beijing.aliyuncs.com/b?x-oss-signature={SECRET}", SECRET),
        (f"https://x.cos.ap-beijing.myqcloud.com/b?q-ak=a&q-signature={SECRET}", SECRET),
        (f'{{"url": "https://r.example/b?a=1\\u0026sig={SECRET}\\u0026b=2"}}', SECRET),
        (f"<Url>https://r.example/b?a=1&amp;sig={SECRET}</Url>", SECRET),
    ],
)
def test_secrets(text, secret):
    """Tokens, Authorization in every shape that a log has it in, passwords and signatures in URLs."""
    assert secret not in redact(text)
    assert "[redacted]" in redact(text)


def test_the_kind_of_token_stays():
    """So that a reader knows what was there."""
    assert redact(f"sent {USER}") == "sent pst_[redacted]"


@pytest.mark.parametrize(
    "text",
    [
        "The upstream https://registry-1.docker.io/v2/library/redis/manifests/7 answered 404.",
        "Basic authentication failed",
        "GET /v2/acme/redis/tags/list?n=100&last=7.2",
        "listening on http://127.0.0.1:8082/",
        "ask user@example.com: 10:30",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "https://example.com:443/a@b",
        "https://cdn.example.com/b?expires=1764159&verified=yes&se=2026",
        "repository psn_x",
        "a WWW-Authenticate: Bearer realm=x challenge",
    ],
)
def test_what_is_no_secret_stays(text):
    """Logs remain useful."""
    assert redact(text) == text


@pytest.mark.parametrize(
    "key", ["authorization", "Authorization", "password", "db_password", "token", "node_token"]
)
def test_names_of_secrets(key):
    """Fields whose value is never shown."""
    assert names_secret(key)


@pytest.mark.parametrize("key", ["token_id", "artifact", "tokens", "user"])
def test_names_of_others(key):
    """Fields that are needed to find out what happened."""
    assert not names_secret(key)
