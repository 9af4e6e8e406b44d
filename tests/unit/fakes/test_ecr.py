"""The fake of ECR's API is one for AWS' own client, and as hard to please as the real one."""

import base64
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.fakes.ecr import ACCESS_DENIED, EXPIRED, THROTTLED, UNRECOGNIZED, AwsError, FakeEcr


@pytest.fixture
def ecr() -> Iterator[FakeEcr]:
    """The API of one account."""
    with FakeEcr() as ecr:
        yield ecr


def ask(ecr: FakeEcr, **different: str) -> Any:
    """Asks for a token with the account's key, or another."""
    keys = {
        "aws_access_key_id": ecr.access_key_id,
        "aws_secret_access_key": ecr.secret_access_key,
        "aws_session_token": ecr.session_token or None,
    }
    config = Config(retries={"max_attempts": 0}, ignore_configured_endpoint_urls=True)
    client = boto3.session.Session().client(
        "ecr", region_name="eu-west-1", endpoint_url=ecr.url, config=config, **{**keys, **different}
    )
    try:
        return client.get_authorization_token()["authorizationData"][0]
    finally:
        client.close()


def test_a_token(ecr: FakeEcr) -> None:
    """It is as long as real ones, opens the registry, and ends in twelve hours by the fake's clock."""
    granted = ask(ecr)
    user, _, password = base64.b64decode(granted["authorizationToken"]).decode().partition(":")
    assert user == "AWS"
    assert len(password) > 1500
    assert ecr.is_good(password)
    assert abs(granted["expiresAt"].timestamp() - ecr.now() - 12 * 3600) < 60
    assert [(call.access_key_id, call.region) for call in ecr.calls] == [(ecr.access_key_id, "eu-west-1")]


def test_the_end_of_a_token(ecr: FakeEcr) -> None:
    """The clock that a test moves ends it, and so does the test itself."""
    first = base64.b64decode(ask(ecr)["authorizationToken"]).decode().removeprefix("AWS:")
    ecr.offset += 12 * 3600 + 1
    assert not ecr.is_good(first)
    second = base64.b64decode(ask(ecr)["authorizationToken"]).decode().removeprefix("AWS:")
    assert ecr.is_good(second)
    ecr.expire()
    assert not ecr.is_good(second)


@pytest.mark.parametrize(
    ("different", "error"),
    [
        ({"aws_access_key_id": "AKIAWRONGWRONGWRONG0"}, "UnrecognizedClientException"),
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_session_token": "stray"}, "UnrecognizedClientException"),
    ],
    ids=["key", "secret", "session-token"],
)
def test_wrong_keys(ecr: FakeEcr, different: dict[str, str], error: str) -> None:
    """Each part of a key counts, the secret by its signature."""
    with pytest.raises(ClientError) as caught:
        ask(ecr, **different)
    assert caught.value.response["Error"]["Code"] == error
    assert ecr.passwords == {}


def test_temporary_keys(ecr: FakeEcr) -> None:
    """A temporary key goes with its session token."""
    ecr.session_token = "session-of-the-tests"
    assert ask(ecr)["authorizationToken"]


@pytest.mark.parametrize("error", [ACCESS_DENIED, EXPIRED, THROTTLED, UNRECOGNIZED], ids=lambda it: it.type)
def test_errors_on_demand(ecr: FakeEcr, error: AwsError) -> None:
    """The client understands them as AWS' own."""
    ecr.error = error
    with pytest.raises(ClientError) as caught:
        ask(ecr)
    assert caught.value.response["Error"] == {"Code": error.type, "Message": error.message}
