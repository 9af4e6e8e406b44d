"""UserService as its callers notice it: users and tokens."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from clients.control.token import is_well_formed
from penstock.v1 import artifact_pb2, customer_pb2, organization_pb2
from penstock.v1 import user_pb2 as pb
from tests.servers.control_plane import Plane, refused

ACME = "organizations/acme"


def _in(**difference: float) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime(datetime.now(UTC) + timedelta(**difference))
    return moment


async def test_standard_methods_of_users(plane: Plane) -> None:
    """Create, get by id and by address, list, update, delete."""
    await plane.organization("acme")
    api = plane.root.users
    created = await api.CreateUser(
        pb.CreateUserRequest(parent=ACME, user=pb.User(email="CI@Example.com", display_name="Builds"))
    )
    assert (created.email, created.role) == ("ci@example.com", pb.ROLE_READ_ONLY)
    assert created.name == f"{ACME}/users/{created.uid}"
    for name in (created.name, f"{ACME}/users/ci@example.com", f"{ACME}/users/Ci@EXAMPLE.com"):
        assert await api.GetUser(pb.GetUserRequest(name=name)) == created

    updated = await api.UpdateUser(
        pb.UpdateUserRequest(
            user=pb.User(name=f"{ACME}/users/ci@example.com", role=pb.ROLE_READ_WRITE),
            update_mask=FieldMask(paths=["role"]),
        )
    )
    assert (updated.role, updated.display_name) == (pb.ROLE_READ_WRITE, "Builds")
    assert list((await api.ListUsers(pb.ListUsersRequest(parent=ACME))).users) == [updated]
    await api.DeleteUser(pb.DeleteUserRequest(name=created.name, etag=updated.etag))
    error = await refused(api.GetUser(pb.GetUserRequest(name=created.name)))
    assert (error.code.name, error.reason) == ("NOT_FOUND", "USER_UNKNOWN")


async def test_an_address_has_one_user_in_each_organization(plane: Plane) -> None:
    """Case does not make another one; another organization does."""
    await plane.organization("acme")
    await plane.organization("other")
    await plane.user("acme", "admin", "ci@example.com")
    await plane.user("other", "admin", "ci@example.com")
    error = await refused(plane.user("acme", "admin", "CI@example.com"))
    assert (error.code.name, error.reason) == ("ALREADY_EXISTS", "USER_EXISTS")


async def test_a_customer_learns_only_that_an_address_is_taken(plane: Plane) -> None:
    """By a member or by another customer's user: the answer is the same, and so is every other about them."""
    await plane.organization("acme")
    for customer in ("globex", "initech"):
        await plane.root.customers.CreateCustomer(
            customer_pb2.CreateCustomerRequest(parent=ACME, customer_id=customer)
        )
    await plane.user("acme", "admin", "boss@acme.example")
    await plane.user("acme", "read_only", "ops@initech.example", customer=f"{ACME}/customers/initech")
    globex = f"{ACME}/customers/globex"
    _, token = await plane.user("acme", "admin", "ops@globex.example", customer=globex)
    api = (await plane.client(token)).users
    told = set()
    for email in ("boss@acme.example", "ops@initech.example"):
        request = pb.CreateUserRequest(parent=ACME, user=pb.User(email=email, customer=globex))
        error = await refused(api.CreateUser(request))
        told.add((error.code.name, error.reason, str(error).replace(email, "it")))
        name = f"{ACME}/users/{email}"
        unknown = await refused(api.GetUser(pb.GetUserRequest(name=name)))
        assert (unknown.code.name, unknown.reason) == ("NOT_FOUND", "USER_UNKNOWN")
    assert told == {
        ("ALREADY_EXISTS", "USER_EXISTS", f"There is {ACME}/users/it already: an address has one user.")
    }


async def test_everything_wrong_with_a_user_is_told_at_once(plane: Plane) -> None:
    """Address, role and name."""
    error = await refused(
        plane.root.users.CreateUser(
            pb.CreateUserRequest(
                parent="acme",
                user=pb.User(email="nobody", display_name="a\nb", role=pb.Role.ValueType(9)),
            )
        )
    )
    assert [item.field for item in error.violations] == [
        "parent",
        "user.email",
        "user.display_name",
        "user.role",
    ]


async def test_an_address_does_not_change(plane: Plane) -> None:
    """Sending it back is fine, another one is refused."""
    await plane.organization("acme")
    user, _ = await plane.user("acme", "admin")
    await plane.root.users.UpdateUser(pb.UpdateUserRequest(user=user))
    user.email = "another@example.com"
    error = await refused(plane.root.users.UpdateUser(pb.UpdateUserRequest(user=user)))
    assert [item.field for item in error.violations] == ["user.email"]


async def test_standard_methods_of_tokens(plane: Plane) -> None:
    """Create, get, list newest first, delete; the secret is in the first answer alone."""
    await plane.organization("acme")
    user, _ = await plane.user("acme", "read_write")
    api = plane.root.users
    expire_time = _in(days=30)
    created = await api.CreateToken(
        pb.CreateTokenRequest(
            parent=f"{ACME}/users/{user.email}",
            token=pb.Token(label="CI", role=pb.ROLE_READ_ONLY, expire_time=expire_time),
        )
    )
    assert is_well_formed(created.secret)
    assert created.secret.startswith("pst_")
    assert created.token.hint == created.secret[-4:]
    assert created.token.name == f"{user.name}/tokens/{created.token.uid}"
    assert created.token.expire_time == expire_time
    assert await api.GetToken(pb.GetTokenRequest(name=created.token.name)) == created.token

    for parent in (user.name, f"{ACME}/users/-"):
        listed = await api.ListTokens(pb.ListTokensRequest(parent=parent, page_size=1))
        assert list(listed.tokens) == [created.token]
        rest = await api.ListTokens(
            pb.ListTokensRequest(parent=parent, page_size=1, page_token=listed.next_page_token)
        )
        assert len(rest.tokens) == 1
        assert not rest.next_page_token
    await api.DeleteToken(pb.DeleteTokenRequest(name=created.token.name))
    error = await refused(api.GetToken(pb.GetTokenRequest(name=created.token.name)))
    assert (error.code.name, error.reason) == ("NOT_FOUND", "TOKEN_UNKNOWN")


async def test_a_revoked_token_is_refused_at_once(plane: Plane) -> None:
    """The very next call fails."""
    await plane.organization("acme")
    user, secret = await plane.user("acme", "read_only")
    member = await plane.client(secret)
    await member.organizations.GetOrganization(organization_pb2.GetOrganizationRequest(name=ACME))
    tokens = await plane.root.users.ListTokens(pb.ListTokensRequest(parent=user.name))
    await plane.root.users.DeleteToken(pb.DeleteTokenRequest(name=tokens.tokens[0].name))
    error = await refused(
        member.organizations.GetOrganization(organization_pb2.GetOrganizationRequest(name=ACME))
    )
    assert (error.code.name, error.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_a_lowered_role_counts_at_once(plane: Plane) -> None:
    """A user who was an administrator a moment ago is refused what administrators may."""
    await plane.organization("acme")
    user, secret = await plane.user("acme", "admin")
    member = await plane.client(secret)
    await member.users.ListTokens(pb.ListTokensRequest(parent=f"{ACME}/users/-"))
    await plane.root.users.UpdateUser(
        pb.UpdateUserRequest(user=pb.User(name=user.name, role=pb.ROLE_READ_ONLY))
    )
    error = await refused(member.users.CreateToken(pb.CreateTokenRequest(parent=user.name)))
    assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "ROLE_TOO_LOW")


@pytest.mark.parametrize(
    ("token", "field"),
    [
        (pb.Token(label="x" * 101), "token.label"),
        (pb.Token(role=pb.ROLE_ADMIN), "token.role"),
        (pb.Token(role=pb.Role.ValueType(7)), "token.role"),
        (pb.Token(expire_time=Timestamp(seconds=1)), "token.expire_time"),
        (pb.Token(expire_time=Timestamp(seconds=10**12)), "token.expire_time"),
    ],
)
async def test_tokens_that_are_refused(plane: Plane, token: pb.Token, field: str) -> None:
    """A long label, a role above the user's, a time that is past or none."""
    await plane.organization("acme")
    user, _ = await plane.user("acme", "read_write")
    error = await refused(plane.root.users.CreateToken(pb.CreateTokenRequest(parent=user.name, token=token)))
    assert [item.field for item in error.violations] == [field]


async def test_a_token_that_is_only_validated_does_not_exist(plane: Plane) -> None:
    """There is no secret in the answer, and nothing in the list."""
    await plane.organization("acme")
    user, _ = await plane.user("acme", "read_only")
    answer = await plane.root.users.CreateToken(pb.CreateTokenRequest(parent=user.name, validate_only=True))
    assert answer.secret == ""
    assert len((await plane.root.users.ListTokens(pb.ListTokensRequest(parent=user.name))).tokens) == 1


async def test_tokens_of_others_are_for_administrators(plane: Plane) -> None:
    """A reader sees their own tokens, is refused others', and sees no more with `users/-`."""
    await plane.organization("acme")
    mine, secret = await plane.user("acme", "read_only", "me@example.com")
    other, _ = await plane.user("acme", "read_only", "other@example.com")
    me = await plane.client(secret)
    assert len((await me.users.ListTokens(pb.ListTokensRequest(parent=mine.name))).tokens) == 1
    own = await me.users.ListTokens(pb.ListTokensRequest(parent=f"{ACME}/users/-"))
    assert [item.name.startswith(mine.name) for item in own.tokens] == [True]
    theirs = (await plane.root.users.ListTokens(pb.ListTokensRequest(parent=other.name))).tokens[0]
    for call in (
        me.users.ListTokens(pb.ListTokensRequest(parent=other.name)),
        me.users.GetToken(pb.GetTokenRequest(name=theirs.name)),
    ):
        error = await refused(call)
        assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "NOT_YOUR_TOKENS")


async def test_a_token_is_not_found_under_another_user(plane: Plane) -> None:
    """The whole name counts, not the last part of it."""
    await plane.organization("acme")
    mine, _ = await plane.user("acme", "admin", "me@example.com")
    other, _ = await plane.user("acme", "admin", "other@example.com")
    token = (await plane.root.users.ListTokens(pb.ListTokensRequest(parent=mine.name))).tokens[0]
    error = await refused(
        plane.root.users.DeleteToken(pb.DeleteTokenRequest(name=f"{other.name}/tokens/{token.uid}"))
    )
    assert error.reason == "TOKEN_UNKNOWN"


async def test_a_deleted_users_tokens_are_refused(plane: Plane) -> None:
    """They go with the user."""
    await plane.organization("acme")
    user, secret = await plane.user("acme", "read_only")
    await plane.root.users.DeleteUser(pb.DeleteUserRequest(name=user.name))
    member = await plane.client(secret)
    error = await refused(member.artifacts.ListArtifacts(artifact_pb2.ListArtifactsRequest(parent=ACME)))
    assert error.code.name == "UNAUTHENTICATED"


async def test_nodes_hear_of_tokens_and_roles(plane: Plane) -> None:
    """What decides who may pull raises the configuration revision; a name does not."""
    await plane.organization("acme")
    revisions = [plane.revision()]
    user, _ = await plane.user("acme", "admin")
    revisions.append(plane.revision())
    user.display_name = "x"
    user = await plane.root.users.UpdateUser(pb.UpdateUserRequest(user=user))
    assert plane.revision() == revisions[-1]
    user.role = pb.ROLE_READ_ONLY
    await plane.root.users.UpdateUser(pb.UpdateUserRequest(user=user))
    revisions.append(plane.revision())
    token = (await plane.root.users.ListTokens(pb.ListTokensRequest(parent=user.name))).tokens[0]
    await plane.root.users.DeleteToken(pb.DeleteTokenRequest(name=token.name))
    revisions.append(plane.revision())
    await plane.root.users.DeleteUser(pb.DeleteUserRequest(name=user.name))
    revisions.append(plane.revision())
    assert revisions == sorted(set(revisions))
