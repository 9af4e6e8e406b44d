"""A control plane behind a proxy: whose call it is, over gRPC and REST, and who is believed."""

import asyncio

import pytest

from controlplane.settings import Settings
from penstock.v1.audit_pb2 import ListAuditEntriesRequest
from penstock.v1.customer_pb2 import CreateCustomerRequest
from tests.servers import http
from tests.servers.control_plane import Plane

ACME = "organizations/acme"
FORWARDED = "203.0.113.9, 198.51.100.7"


@pytest.fixture(params=["", "127.0.0.0/8"], ids=["nobody", "loopback"])
def trusted(request: pytest.FixtureRequest) -> str:
    """Which networks are."""
    return str(request.param)


@pytest.fixture
def settings(settings: Settings, trusted: str) -> Settings:
    """With them."""
    return settings.model_copy(update={"trusted_proxies": trusted})


async def test_from_where_a_change_came(plane: Plane, trusted: str) -> None:
    """The audit log has the address of whom the proxy names, if that is one."""
    await plane.organization("acme")
    await plane.root.customers.CreateCustomer(
        CreateCustomerRequest(parent=ACME, customer_id="globex"),
        metadata=[("x-forwarded-for", part) for part in FORWARDED.split(", ")],
    )
    headers = {"Authorization": f"Bearer {plane.root_token}", "X-Forwarded-For": FORWARDED}
    created = await asyncio.to_thread(
        http.request,
        str(plane.running.http),
        "POST",
        f"/api/v1/{ACME}/customers?customerId=initech",
        headers=headers,
        body=b"{}",
    )
    assert created.status == 200
    found = await plane.root.audit.ListAuditEntries(
        ListAuditEntriesRequest(parent=ACME, method="CreateCustomer")
    )
    assert [entry.address for entry in found.audit_entries] == [
        "198.51.100.7" if trusted else "127.0.0.1"
    ] * 2
