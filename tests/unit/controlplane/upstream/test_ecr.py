"""ECR's tokens: got once, shared, renewed in time or when one is refused, and AWS' errors in words."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from clients.oci.errors import (
    CredentialRefused,
    ForbiddenAddress,
    PermissionMissing,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from clients.oci.upstream import Upstream
from controlplane.model.database import Database
from controlplane.model.keys import Keys
from controlplane.model.upstream_tables import EcrToken
from controlplane.upstream.ecr import Ecr, Region
from controlplane.upstream.ecr_tokens import EcrTokens
from controlplane.upstream.opened import AwsKey, OpenCredential, opened
from tests.fakes import ecr as aws
from tests.fakes.ecr import FakeEcr
from tests.fakes.endpoint import Endpoint, Reply
from tests.fakes.rows import NOW, add_credential, each_database

pytest_generate_tests = each_database


class Now:
    """The time of day, moved by hand: that of the fake, when the test begins."""

    def __init__(self) -> None:
        self.now = self._start = datetime.now(NOW.tzinfo)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        """Count on, whatever time of day somebody sets."""
        return (self.now - self._start).total_seconds()

    def set_back(self, by: timedelta) -> None:
        """Correct a clock that was ahead."""
        self.now -= by
        self._start -= by


@pytest.fixture
def fake_ecr() -> Iterator[FakeEcr]:
    """AWS."""
    with FakeEcr() as fake:
        yield fake


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """The key ring."""
    return Keys("", tmp_path / "encryption-keys")


@pytest.fixture
def now() -> Now:
    """The clock of all replicas."""
    return Now()


def key_of(fake: FakeEcr) -> AwsKey:
    """The access key that the fake lets in."""
    return AwsKey(fake.access_key_id, fake.secret_access_key, fake.session_token, endpoint=fake.url)


@pytest.fixture
async def credential(database: Database, keys: Keys, fake_ecr: FakeEcr) -> OpenCredential:
    """A stored access key."""
    return opened(await add_credential(database, keys, key_of(fake_ecr)), keys)


@pytest.fixture
async def replicas(database: Database, keys: Keys, now: Now) -> AsyncIterator[list[EcrTokens]]:
    """Three control planes on one database."""
    ecr = Ecr(allow_private=True)
    made = [EcrTokens(database, keys, ecr, now, clock=now.seconds) for _ in range(3)]
    yield made
    for one in made:
        await one.stop()


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", Region("eu-west-1")),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", Region("cn-north-1")),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", Region("us-gov-west-1", fips=True)),
        ("127.0.0.1:5000", Region("us-east-1")),
    ],
)
def test_the_region_is_read_from_the_host(host: str, region: Region) -> None:
    """Of a name of somebody's own, it is AWS' first one."""
    assert Region.of(Upstream.parse(f"{host}/app")) == region


async def test_fifty_artifacts_on_three_replicas_make_one_call(
    replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr
) -> None:
    """Whoever comes first asks, and all the others wait for it."""
    wishes = [replicas[number % 3].get(credential, Region()) for number in range(50)]
    tokens = await asyncio.gather(*wishes)
    assert len({token.basic for token in tokens}) == 1
    assert fake_ecr.is_good(tokens[0].basic.password)
    assert len(tokens[0].basic.password) > 1500
    assert [call.region for call in fake_ecr.calls] == ["us-east-1"]


async def test_it_is_renewed_at_half_its_life(
    replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr, now: Now
) -> None:
    """Six hours before a real one ends, once for everybody."""
    first = await replicas[0].get(credential, Region())
    now.now += timedelta(hours=5, minutes=59)
    assert (await replicas[1].get(credential, Region())).basic == first.basic
    now.now += timedelta(minutes=2)
    renewed = [await replica.get(credential, Region()) for replica in replicas]
    assert {token.basic for token in renewed} == {renewed[0].basic}
    assert renewed[0].basic != first.basic
    assert len(fake_ecr.calls) == 2


async def test_while_aws_is_away_a_good_token_goes_on(
    replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr, now: Now
) -> None:
    """It is asked again after a minute, not for each request; at the token's end, the error is told."""
    first = await replicas[0].get(credential, Region())
    now.now += timedelta(hours=7)
    fake_ecr.error = aws.ACCESS_DENIED
    for _ in range(5):
        assert (await replicas[0].get(credential, Region())).basic == first.basic
    assert len(fake_ecr.calls) == 2
    now.now += timedelta(hours=5, minutes=1)
    with pytest.raises(PermissionMissing):
        await replicas[0].get(credential, Region())
    fake_ecr.error = None
    now.now += timedelta(minutes=1)
    assert (await replicas[0].get(credential, Region())).basic != first.basic


async def test_a_refused_token_is_renewed_before_its_time(
    replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr
) -> None:
    """Once for all who were refused with it: another replica gets the new one without a call."""
    first = await replicas[0].get(credential, Region())
    fake_ecr.expire()
    wishes = [replica.get(credential, Region(), first.basic) for replica in replicas for _ in range(5)]
    renewed = await asyncio.gather(*wishes)
    assert {token.basic for token in renewed} == {renewed[0].basic}
    assert renewed[0].basic != first.basic
    assert len(fake_ecr.calls) == 2


async def test_a_registry_that_refuses_every_token_does_not_have_aws_asked_for_ever(
    replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr, now: Now
) -> None:
    """Some renewals in a minute; then the refused one is given, and the refusal is told."""
    refused = (await replicas[0].get(credential, Region())).basic
    for _ in range(20):
        refused = (await replicas[0].get(credential, Region(), refused)).basic
    assert len(fake_ecr.calls) == 4
    now.now += timedelta(minutes=1)
    assert (await replicas[0].get(credential, Region(), refused)).basic != refused


async def test_a_changed_key_gets_a_token_of_its_own(
    replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr
) -> None:
    """What was got with the former one is not used any more, by any replica."""
    before = await replicas[0].get(credential, Region())
    changed = replace(credential, version="later")
    for replica in replicas:
        assert (await replica.get(changed, Region())).basic != before.basic
    assert len(fake_ecr.calls) == 2


async def test_a_replica_that_died_while_it_asked_is_not_waited_for(
    database: Database, replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr, now: Now
) -> None:
    """Its turn ends by itself."""
    async with database.write() as session:
        session.add(
            EcrToken(
                credential_id=credential.id, region="us-east-1", lease_until=now() + timedelta(minutes=1)
            )
        )
    waiting = asyncio.create_task(replicas[0].get(credential, Region()))
    await asyncio.sleep(0.3)
    assert fake_ecr.calls == []
    now.now += timedelta(minutes=1)
    assert fake_ecr.is_good((await waiting).basic.password)


async def test_a_turn_taken_by_a_clock_that_was_ahead_is_not_waited_for(
    database: Database, replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr, now: Now
) -> None:
    """Whoever died with it would keep the others waiting until that day."""
    async with database.write() as session:
        session.add(
            EcrToken(credential_id=credential.id, region="us-east-1", lease_until=now() + timedelta(days=1))
        )
    async with asyncio.timeout(5):
        token = await replicas[0].get(credential, Region())
    assert fake_ecr.is_good(token.basic.password)


async def test_a_clock_that_is_set_back_makes_no_pause_longer(
    replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr, now: Now
) -> None:
    """A minute after a refusal the key is tried again, and after forced renewals another one is allowed."""
    fake_ecr.error = aws.UNRECOGNIZED
    with pytest.raises(CredentialRefused):
        await replicas[0].get(credential, Region())
    fake_ecr.error = None
    now.set_back(timedelta(hours=1))
    now.now += timedelta(minutes=1)
    refused = (await replicas[0].get(credential, Region())).basic
    for _ in range(5):
        refused = (await replicas[0].get(credential, Region(), refused)).basic
    now.set_back(timedelta(hours=1))
    now.now += timedelta(minutes=1)
    assert (await replicas[0].get(credential, Region(), refused)).basic != refused


async def test_only_ages_of_tokens_in_use_are_told(
    replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr, now: Now
) -> None:
    """A deleted credential's is gone at once where that was done, and when it would be renewed elsewhere.

    One that is used and cannot be renewed shows its true age: that is what the figure is looked at for.
    """
    series = (credential.uid, "us-east-1")
    for replica in replicas:
        await replica.get(credential, Region())
    replicas[0].forget(credential.id)
    assert [series in replica.ages() for replica in replicas] == [False, True, True]

    now.now += timedelta(hours=7)
    fake_ecr.error = aws.ACCESS_DENIED
    await replicas[2].get(credential, Region())
    ages = [replica.ages() for replica in replicas]
    assert [series in told for told in ages] == [False, False, True]
    assert ages[2][series] > timedelta(hours=6, minutes=59)


async def test_tokens_are_sealed_in_the_table(
    tmp_path: Path, replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr
) -> None:
    """A copy of the database without the key gives nothing away."""
    token = await replicas[0].get(credential, Region())
    files = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("controlplane.db*")))  # noqa: ASYNC240 - small files
    for secret in (token.basic.password, fake_ecr.secret_access_key):
        assert secret.encode() not in files


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (aws.ACCESS_DENIED, PermissionMissing, "lacks the permission ecr:GetAuthorizationToken"),
        (aws.UNRECOGNIZED, CredentialRefused, "its id, its secret or its session token is wrong"),
        (aws.BAD_SIGNATURE, CredentialRefused, "its id, its secret or its session token is wrong"),
        (aws.EXPIRED, CredentialRefused, "session token has expired"),
        (aws.THROTTLED, UpstreamRateLimited, "fewer requests"),
        (aws.AwsError("ServerException", "x", 500), UpstreamUnavailable, "answered 500"),
    ],
    ids=lambda value: getattr(value, "type", None),
)
async def test_what_aws_says_is_told_in_words(
    replicas: list[EcrTokens],
    credential: OpenCredential,
    fake_ecr: FakeEcr,
    error: aws.AwsError,
    kind: type[UpstreamError],
    words: str,
) -> None:
    """The cause, and an IAM action by its name."""
    fake_ecr.error = error
    with pytest.raises(kind, match=words):
        await replicas[0].get(credential, Region())


async def test_a_refused_key_is_tried_once_a_minute(
    replicas: list[EcrTokens], credential: OpenCredential, fake_ecr: FakeEcr, now: Now
) -> None:
    """Whoever asks meanwhile is told the same."""
    fake_ecr.error = aws.UNRECOGNIZED
    for _ in range(5):
        with pytest.raises(CredentialRefused):
            await replicas[0].get(credential, Region())
    assert len(fake_ecr.calls) == 1
    now.now += timedelta(minutes=1)
    fake_ecr.error = None
    await replicas[0].get(credential, Region())


async def test_a_session_token_is_shown(fake_ecr: FakeEcr, now: Now) -> None:
    """Temporary keys work."""
    fake_ecr.session_token = "session" * 50
    token = await Ecr(allow_private=True).token(key_of(fake_ecr), Region(), now())
    assert fake_ecr.is_good(token.basic.password)


ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>{0.access_key_id}</AccessKeyId><SecretAccessKey>{0.secret_access_key}</SecretAccessKey>
<SessionToken>{0.session_token}</SessionToken><Expiration>2040-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>"""
DENIED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>AccessDenied</Code>
<Message>User: x is not authorized to perform: sts:AssumeRole on resource: y</Message>
</Error></ErrorResponse>"""


async def test_a_role_is_assumed_first(fake_ecr: FakeEcr, now: Now, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the external id; ECR is asked with the role's temporary key, and a refusal names the action."""
    fake_ecr.session_token = "of-the-role"
    role = "arn:aws:iam::123456789012:role/puller"
    key = AwsKey("AKIA0000000000000000", "own", role_arn=role, external_id="vendor-7", endpoint=fake_ecr.url)
    with Endpoint(reply=Reply(200, ASSUMED.format(fake_ecr).encode())) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        token = await Ecr(allow_private=True).token(key, Region(), now())
        assert fake_ecr.is_good(token.basic.password)
        asked = parse_qs(sts.received[0].body.decode())
        assert (asked["RoleArn"], asked["ExternalId"]) == ([role], ["vendor-7"])
        sts.reply = Reply(403, DENIED.encode())
        with pytest.raises(PermissionMissing, match="sts:AssumeRole"):
            await Ecr(allow_private=True).token(key, Region(), now())


async def test_an_endpoint_at_a_private_address_is_refused(fake_ecr: FakeEcr, now: Now) -> None:
    """By a name as well: nothing of this network is reached through an access key's endpoint."""
    key = replace(key_of(fake_ecr), endpoint=fake_ecr.url.replace("127.0.0.1", "localhost"))
    with pytest.raises(ForbiddenAddress):
        await Ecr(allow_private=False).token(key, Region(), now())
    assert fake_ecr.received == []


async def test_an_endpoint_that_is_away(now: Now) -> None:
    """The sentence says so, without a secret."""
    key = AwsKey("AKIA0000000000000000", "the-secret", endpoint="http://127.0.0.1:1")
    with pytest.raises(UpstreamUnavailable, match="could not be reached") as caught:
        await Ecr(allow_private=True).token(key, Region(), now())
    assert "the-secret" not in str(caught.value)
