"""From Authorization to a caller."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from sqlmodel import delete

from clients.control.token import TokenKind, new_token, sha256
from controlplane.api.authenticate import Authenticator, token_of
from controlplane.api.caller import Caller
from controlplane.api.errors import ApiError
from controlplane.model.database import Database
from controlplane.model.roles import Role
from controlplane.model.saved import saved_id
from controlplane.model.tables import AccessToken, Node, Organization, User

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = new_token(TokenKind.USER)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a database with one organization, one READ_WRITE user and TOKEN."""
    database = await Database.open(f"sqlite:///{tmp_path / 'test.db'}")
    async with database.write() as session:
        organization = Organization(uid="o", slug="acme", create_time=NOW, update_time=NOW)
        session.add(organization)
        await session.flush()
        user = User(
            uid="u",
            organization_id=organization.id,
            email="ci@example.com",
            role=Role.READ_WRITE,
            create_time=NOW,
            update_time=NOW,
        )
        session.add(user)
        await session.flush()
        session.add(_token(saved_id(user), TOKEN))
    yield database
    await database.close()


def _token(user_id: int, secret: str, role: Role | None = None, ends: datetime | None = None) -> AccessToken:
    return AccessToken(
        uid=secret,
        user_id=user_id,
        sha256=sha256(secret),
        hint=secret[-4:],
        role=role,
        expire_time=ends,
        create_time=NOW,
    )


def _basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer   abc ", "abc"),
        ("AccessToken abc", "abc"),
        ("ACCESSTOKEN abc", "abc"),
        (_basic("anybody:abc"), "abc"),
        (_basic("-:abc"), "abc"),
        (_basic(":a:b"), "a:b"),
        (_basic("no colon"), ""),
        ("Basic ???", ""),
        ("Basic /w==", ""),
        ("Digest abc", ""),
        ("abc", ""),
        ("", ""),
        ("Bearer", ""),
    ],
)
def test_tokens_come_in_three_forms(authorization: str, token: str) -> None:
    """Bearer, AccessToken, and the password of Basic."""
    assert token_of(authorization) == token


@pytest.mark.parametrize("form", [f"Bearer {TOKEN}", f"AccessToken {TOKEN}", _basic(f"x:{TOKEN}")])
async def test_a_good_token_is_its_user(database: Database, form: str) -> None:
    """The caller has the user's organization and role."""
    caller = await Authenticator(database, lambda: NOW).caller(form)
    assert caller == Caller("u", "ci@example.com", Role.READ_WRITE, 1, token_uid=TOKEN)


async def test_a_token_may_lower_the_role(database: Database) -> None:
    """Effective is the lower of both."""
    lower = new_token(TokenKind.USER)
    async with database.write() as session:
        session.add(_token(1, lower, role=Role.READ_ONLY))
    assert (await Authenticator(database, lambda: NOW).caller(f"Bearer {lower}")).role is Role.READ_ONLY


async def test_a_node_is_a_node(database: Database) -> None:
    """A node's token gives no user and no organization."""
    secret = new_token(TokenKind.NODE)
    async with database.write() as session:
        session.add(Node(uid="n", node_id="one", sha256=sha256(secret), create_time=NOW))
    caller = await Authenticator(database, lambda: NOW).caller(f"Bearer {secret}")
    assert caller == Caller(node_uid="n")
    assert not caller.of_installation


async def test_a_node_that_was_deleted_is_refused_a_second_later_elsewhere(database: Database) -> None:
    """What a node asks in a row is one look-up; a second later, or when told to, it is looked up anew."""
    secret = new_token(TokenKind.NODE)
    async with database.write() as session:
        session.add(Node(uid="n", node_id="one", sha256=sha256(secret), create_time=NOW))
    seconds = 0.0
    authenticator = Authenticator(database, lambda: NOW, lambda: seconds)
    await authenticator.caller(f"Bearer {secret}")
    async with database.write() as session:
        await session.exec(delete(Node))
    seconds = 0.9
    # By another process, of which this one does not hear.
    assert await authenticator.caller(f"Bearer {secret}") == Caller(node_uid="n")
    seconds = 1.0
    with pytest.raises(ApiError, match="revoked"):
        await authenticator.caller(f"Bearer {secret}")


async def test_a_node_is_forgotten_when_it_is_deleted_here(database: Database) -> None:
    """In the process that deletes it nothing is remembered, not even what was being looked up."""
    secret = new_token(TokenKind.NODE)
    async with database.write() as session:
        session.add(Node(uid="n", node_id="one", sha256=sha256(secret), create_time=NOW))
    authenticator = Authenticator(database, lambda: NOW, lambda: 0.0)
    await authenticator.caller(f"Bearer {secret}")
    authenticator.forget_nodes()
    looking_up = asyncio.create_task(authenticator.caller(f"Bearer {secret}"))
    await asyncio.sleep(0)
    async with database.write() as session:
        await session.exec(delete(Node))
    authenticator.forget_nodes()
    await asyncio.wait([looking_up])
    with pytest.raises(ApiError, match="revoked"):
        await authenticator.caller(f"Bearer {secret}")


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", "CREDENTIALS_MISSING"),
        ("Digest x", "CREDENTIALS_MISSING"),
        ("Bearer nonsense", "TOKEN_INVALID"),
        (f"Bearer {TOKEN[:-1]}", "TOKEN_INVALID"),
        (f"Bearer {new_token(TokenKind.USER)}", "TOKEN_INVALID"),
        (f"Bearer {new_token(TokenKind.NODE)}", "TOKEN_INVALID"),
    ],
)
async def test_others_are_refused_without_repeating_them(
    database: Database, authorization: str, reason: str
) -> None:
    """The reason is a word, the sentence says what to do and holds no token."""
    with pytest.raises(ApiError) as caught:
        await Authenticator(database, lambda: NOW).caller(authorization)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    assert "pst_" not in str(caught.value)


async def test_a_token_ends_at_its_time(database: Database) -> None:
    """One microsecond before it is good; at the very time it is not."""
    ending = new_token(TokenKind.USER)
    end = NOW + timedelta(days=30)
    async with database.write() as session:
        session.add(_token(1, ending, ends=end))
    before = Authenticator(database, lambda: end - timedelta(microseconds=1))
    assert (await before.caller(f"Bearer {ending}")).user_uid == "u"
    with pytest.raises(ApiError) as caught:
        await Authenticator(database, lambda: end).caller(f"Bearer {ending}")
    assert caught.value.reason == "TOKEN_EXPIRED"
