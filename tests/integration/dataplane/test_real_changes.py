"""Tokens after something was taken from their owner: refused by the API at once, by a node once it heard."""

import asyncio

from penstock.v1 import customer_pb2, user_pb2
from tests.integration.dataplane.test_real_entitlements import ACME, Scene, scene  # noqa: F401 - a fixture
from tests.servers.control_plane import refused


async def test_a_role_that_was_lowered(scene: Scene) -> None:  # noqa: F811 - the fixture
    """The same token does less from that moment on; it pulls what it pulled, as its lower role may."""
    user, secret = await scene.plane.user("acme", "admin", "boss@example.com")
    scene.tokens["boss"] = secret
    await scene.in_force()
    me = await scene.plane.client(secret)
    create = user_pb2.CreateUserRequest(parent=ACME, user=user_pb2.User(email="new@example.com"))
    await me.users.CreateUser(create)
    lower = user_pb2.UpdateUserRequest(user=user_pb2.User(name=user.name, role=user_pb2.ROLE_READ_ONLY))
    await scene.plane.root.users.UpdateUser(lower)
    create.user.email = "newer@example.com"
    assert (await refused(me.users.CreateUser(create))).reason == "ROLE_TOO_LOW"
    lower.user.role = user_pb2.ROLE_ADMIN
    assert (await refused(me.users.UpdateUser(lower))).reason == "ROLE_TOO_LOW"
    await asyncio.wait_for(scene.in_force(), 30)
    configuration = scene.node.state.configuration
    assert configuration is not None
    (principal,) = (each for each in configuration.principals.values() if each.user_uid == user.uid)
    assert principal.role == user_pb2.ROLE_READ_ONLY
    assert (await scene.ask("boss", "manifests/2.0")).status == 200


async def test_a_customer_that_was_removed(scene: Scene) -> None:  # noqa: F811 - the fixture
    """Its users' tokens are nobody's, at both planes; a user cannot be handed to another customer."""
    for path in ("manifests/1.0", scene.paths["blob"]):
        assert (await scene.ask("1.*", path)).status == 200
    me = await scene.plane.client(scene.tokens["1.*"])
    mine = await me.users.GetUser(user_pb2.GetUserRequest(name=f"{ACME}/users/one@example.com"))
    moved = user_pb2.UpdateUserRequest(user=user_pb2.User(name=mine.name, customer=f"{ACME}/customers/two"))
    moved.update_mask.paths.append("customer")
    assert (await refused(scene.plane.root.users.UpdateUser(moved))).code.name == "INVALID_ARGUMENT"
    await scene.plane.root.customers.DeleteCustomer(
        customer_pb2.DeleteCustomerRequest(name=f"{ACME}/customers/one", force=True)
    )
    again = me.users.GetUser(user_pb2.GetUserRequest(name=mine.name))
    assert (await refused(again)).code.name == "UNAUTHENTICATED"
    await scene.in_force()
    for path in ("manifests/1.0", scene.paths["blob"], "tags/list"):
        assert (await scene.ask("1.*", path)).status == 401
    assert (await scene.ask(">=2", "manifests/2.0")).status == 200
