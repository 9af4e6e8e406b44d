"""`penstock users` and `penstock tokens`."""

import json
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from clients.control.token import TokenKind, new_token
from penstock.v1.user_pb2 import (
    ROLE_ADMIN,
    ROLE_READ_ONLY,
    ROLE_READ_WRITE,
    CreateTokenResponse,
    ListTokensResponse,
    ListUsersResponse,
    Token,
    User,
)
from tests.fakes.scripted_api import Refusal

CI = User(name="organizations/acme/users/u1", uid="u1", email="ci@example.com", role=ROLE_READ_ONLY)
TOKEN = Token(name="organizations/acme/users/u1/tokens/t1", label="ci", hint="wxyz")


def test_create_a_user(run, api):
    """Organization, e-mail address and role reach the API; the role is shown as it is written."""
    api.answer("CreateUser", CI)
    result = run("users", "create", "acme", "ci@example.com", "--role", "read_only")
    assert result.code == 0
    assert "read_only" in result.out
    (request,) = api.requests("CreateUser")
    assert request.parent == "organizations/acme"
    assert (request.user.email, request.user.role) == ("ci@example.com", ROLE_READ_ONLY)


def test_a_role_that_does_not_exist(run, api):
    """Wrong usage, with the roles that exist."""
    result = run("users", "create", "acme", "ci@example.com", "--role", "owner")
    assert result.code == 2
    assert "read_write" in result.err
    assert not api.calls


def test_list_users(run, api):
    """One line a user."""
    api.answer("ListUsers", ListUsersResponse(users=[CI]))
    assert "ci@example.com" in run("users", "list", "acme").out.splitlines()[1]


def test_update_a_user_found_by_mail(run, api):
    """The user is looked up by e-mail address, and changed by name."""
    api.answer("GetUser", CI)
    api.answer("UpdateUser", CI)
    assert run("users", "update", "acme", "ci@example.com", "--role", "read_write").code == 0
    assert api.requests("GetUser")[0].name == "organizations/acme/users/ci@example.com"
    (request,) = api.requests("UpdateUser")
    assert request.user.name == CI.name
    assert request.user.role == ROLE_READ_WRITE
    assert list(request.update_mask.paths) == ["role"]


def test_update_of_nothing(run, api):
    """Wrong usage: says what could be changed."""
    result = run("users", "update", "acme", "ci@example.com")
    assert result.code == 2
    assert "--role" in result.err


def test_delete_a_user(run, api):
    """Says who is gone."""
    api.answer("GetUser", CI)
    api.answer("DeleteUser", Empty())
    assert run("users", "delete", "acme", "ci@example.com").out == "Deleted ci@example.com.\n"
    assert api.requests("DeleteUser")[0].name == CI.name


def test_get_a_user_who_is_not_there(run, api):
    """The server's sentence, exit code 1."""
    api.answer("GetUser", Refusal(grpc.StatusCode.NOT_FOUND, "There is no user x.", "USER_NOT_FOUND"))
    result = run("users", "get", "acme", "x")
    assert (result.code, result.err) == (1, "penstock: There is no user x.\n")


def test_the_token_stands_alone(run, api):
    """Standard output is the token and nothing else, so that it can be piped to docker login."""
    secret = new_token(TokenKind.USER)
    api.answer("GetUser", CI)
    api.answer("CreateToken", CreateTokenResponse(token=TOKEN, secret=secret))
    result = run("tokens", "create", "acme", "ci@example.com")
    assert (result.code, result.out, result.err) == (0, f"{secret}\n", "")
    (request,) = api.requests("CreateToken")
    assert request.parent == CI.name
    assert not request.token.HasField("expire_time")


def test_the_token_in_json(run, api):
    """An object with the secret and what is known of the token."""
    api.answer("GetUser", CI)
    api.answer("CreateToken", CreateTokenResponse(token=TOKEN, secret="pst_x"))
    shown = json.loads(run("tokens", "create", "acme", "ci@example.com", "--output", "json").out)
    assert shown["secret"] == "pst_x"
    assert shown["token"]["name"] == TOKEN.name


def test_role_label_and_expiry_of_a_token(run, api):
    """A lower role, what it is for, and a time from now."""
    api.answer("GetUser", CI)
    api.answer("CreateToken", CreateTokenResponse(token=TOKEN, secret="pst_x"))
    flags = ("--role", "admin", "--expires", "30d", "--label", "ci")
    assert run("tokens", "create", "acme", "ci@example.com", *flags).code == 0
    token = api.requests("CreateToken")[0].token
    assert (token.role, token.label) == (ROLE_ADMIN, "ci")
    left = token.expire_time.ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)


def test_a_token_that_never_expires(run, api):
    """As `--help` says of the default, so it may be said."""
    api.answer("GetUser", CI)
    api.answer("CreateToken", CreateTokenResponse(token=TOKEN, secret="pst_x"))
    assert run("tokens", "create", "acme", "ci@example.com", "--expires", "never").code == 0
    assert not api.requests("CreateToken")[0].token.HasField("expire_time")


@pytest.mark.parametrize(
    "expires", ["", "soon", "30", "2001-01-01", "0s", "-1d", "99999999d", "9999-12-31T23:59:59-14:00"]
)
def test_an_expiry_that_is_none(run, api, expires):
    """Wrong usage, before anything is asked."""
    result = run("tokens", "create", "acme", "ci@example.com", "--expires", expires)
    assert result.code == 2
    assert "--expires" in result.err
    assert not api.calls


def test_list_tokens_of_everybody(run, api):
    """Without a user: all of the organization, without secrets, each with whose it is: `delete` asks."""
    api.answer("ListTokens", ListTokensResponse(tokens=[TOKEN]))
    result = run("tokens", "list", "acme")
    assert api.requests("ListTokens")[0].parent == "organizations/acme/users/-"
    assert result.out.splitlines()[1].split()[:2] == ["t1", TOKEN.name.split("/")[3]]
    assert "wxyz" in result.out


def test_list_tokens_of_one(run, api):
    """With a user: those of that one."""
    api.answer("GetUser", CI)
    api.answer("ListTokens", ListTokensResponse())
    assert run("tokens", "list", "acme", "ci@example.com").code == 0
    assert api.requests("ListTokens")[0].parent == CI.name


def test_delete_a_token(run, api):
    """By the id that the list shows, or by its whole name."""
    api.answer("GetUser", CI)
    api.answer("DeleteToken", Empty())
    assert run("tokens", "delete", "acme", "ci@example.com", "t1").code == 0
    assert run("tokens", "delete", "acme", "ci@example.com", TOKEN.name).code == 0
    assert [request.name for request in api.requests("DeleteToken")] == [TOKEN.name, TOKEN.name]
