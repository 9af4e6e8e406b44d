"""One typed client of all services."""

from types import TracebackType
from typing import Self

from clients.control.channel import connect
from clients.control.diagnosis import diagnose
from clients.control.target import Target
from clients.control.trust import Trust
from penstock.v1.artifact_pb2_grpc import ArtifactServiceStub
from penstock.v1.audit_pb2_grpc import AuditServiceStub
from penstock.v1.credential_pb2_grpc import CredentialServiceStub
from penstock.v1.customer_pb2_grpc import CustomerServiceStub
from penstock.v1.entitlement_pb2_grpc import EntitlementServiceStub
from penstock.v1.node_pb2_grpc import NodeServiceStub
from penstock.v1.organization_pb2_grpc import OrganizationServiceStub
from penstock.v1.pull_pb2_grpc import PullServiceStub
from penstock.v1.user_pb2_grpc import UserServiceStub


class ControlClient:
    """The services of one control plane, called as the owner of one token.

    `async with ControlClient("127.0.0.1:8081", token) as control: ...`, or `close()` at the end; by TLS
    `ControlClient("https://penstock.example.com:8081", token)`, with a Trust where that takes more.
    The stubs raise gRPC's errors: call them under `clients.control.errors.translated()`.
    """

    def __init__(self, address: str, token: str, trust: Trust | None = None) -> None:
        self._where = Target.parse(address), trust or Trust()
        self.channel = connect(address, token, trust)
        self.organizations = OrganizationServiceStub(self.channel)
        self.customers = CustomerServiceStub(self.channel)
        self.entitlements = EntitlementServiceStub(self.channel)
        self.audit = AuditServiceStub(self.channel)
        self.users = UserServiceStub(self.channel)
        self.credentials = CredentialServiceStub(self.channel)
        self.artifacts = ArtifactServiceStub(self.channel)
        self.pulls = PullServiceStub(self.channel)
        self.nodes = NodeServiceStub(self.channel)

    async def diagnose(self) -> str:
        """Say what is wrong with TLS on the way there, after an Unreachable; empty where nothing is."""
        return await diagnose(*self._where)

    async def close(self) -> None:
        """Close the connection; calls that are under way are cancelled."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
