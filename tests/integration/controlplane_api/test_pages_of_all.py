"""Forged page tokens for every list there is, on both databases."""

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Final

import grpc
import grpc.aio
import pytest
from google.protobuf.message_factory import GetMessageClass

from clients.control.client import ControlClient
from controlplane.api import paging
from controlplane.api.port import SERVICES
from controlplane.server import running
from controlplane.settings import Settings
from penstock.v1 import customer_pb2, node_pb2, user_pb2
from tests.servers.control_plane import Plane
from tests.servers.postgres import Postgres

_POOL = node_pb2.DESCRIPTOR.pool
ACME: Final = "organizations/acme"
_SEAL: Final = b"forged.."
KEYS: Final = (
    *("x", "-1", "1.5", "NaN", "\u0661", "0", "2147483647", "2147483648", "9" * 19, "9" * 5000),
    *(
        "\0",
        "a\0b",
        "%",
        "\U0001f600",
        "'",
        ":",
        "1:",
        "1:zz",
        "-1:00",
        f"{2**63}:00",
        "1:00",
        "9" * 30 + ":00",
    ),
    *("2026-01-01", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00 a b", "2026-01-01T00:00:00 a b"),
    *("0001-01-01T00:00:00+14:00 a b", "9999-12-31T23:59:59-14:00 a b", "2026-01-01T00:00:00+00:00 \0 b"),
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
async def either(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Plane]:
    """A control plane on each database."""
    async with AsyncExitStack() as stack:
        if request.param == "postgresql":
            server = Postgres()
            stack.callback(server.stop)
            settings = settings.model_copy(update={"database_url": server.start().url})
        started = await stack.enter_async_context(running(settings))
        token = started.new_admin_token
        assert token is not None
        root = await stack.enter_async_context(ControlClient(str(started.grpc), token))
        yield Plane(started, settings.data_dir, root, token, stack)


def _lists() -> dict[str, Any]:
    """The methods of users that give pages, by path."""
    services = [_POOL.FindServiceByName(name) for name in SERVICES]
    return {
        f"/{service.full_name}/{method.name}": method
        for service in services
        for method in service.methods
        if "page_token" in method.input_type.fields_by_name
    }


async def _parents(plane: Plane) -> dict[str, str]:
    """A parent for each kind of list."""
    await plane.organization("acme")
    await plane.artifact("acme", "app")
    await plane.root.customers.CreateCustomer(
        customer_pb2.CreateCustomerRequest(parent=ACME, customer_id="globex")
    )
    user, _ = await plane.user("acme", "read_only")
    assert isinstance(user, user_pb2.User)
    app = f"{ACME}/artifacts/app"
    below = {
        "ListTags": app,
        "ListTagRevisions": f"{app}/tags/1",
        "ListSyncJobs": app,
        "ListVersionHolders": app,
    }
    return {**below, "ListTokens": user.name}


async def test_forged_tokens_are_told_as_such(either: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their key is, and although they are sealed for just this list, which anybody can do."""
    monkeypatch.setattr(paging, "_seal", lambda *_: _SEAL)
    parents = await _parents(either)
    wrong: list[tuple[str, str, str]] = []
    seen: dict[str, set[str]] = {}
    metadata = (("authorization", f"Bearer {either.root_token}"),)
    async with grpc.aio.insecure_channel(str(either.running.grpc)) as channel:
        for path, method in _lists().items():
            kind = GetMessageClass(method.input_type)
            call = channel.unary_unary(
                path, kind.SerializeToString, GetMessageClass(method.output_type).FromString
            )
            for key in KEYS:
                token = base64.urlsafe_b64encode(_SEAL + key.encode()).decode()
                request = kind(page_token=token)
                if hasattr(request, "parent"):
                    request.parent = parents.get(method.name, ACME)
                if method.name == "SumPulls":
                    request.period = 1
                try:
                    await call(request, metadata=metadata, timeout=10)
                    code = "OK"
                except grpc.aio.AioRpcError as error:
                    code = error.code().name
                seen.setdefault(path, set()).add(code)
                if code not in ("OK", "INVALID_ARGUMENT", "NOT_FOUND"):
                    wrong.append((path, key[:40], code))
    assert wrong == []
    assert len(seen) >= 15
    # One that is refused or not found for another reason shows nothing.
    assert {path: codes for path, codes in seen.items() if codes != {"OK", "INVALID_ARGUMENT"}} == {}
