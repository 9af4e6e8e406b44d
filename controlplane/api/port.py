"""The gRPC port: every service, with reflection and health."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # it ships no types
from grpc_health.v1 import (  # type: ignore[import-untyped]  # it ships no types
    health,
    health_pb2,
    health_pb2_grpc,
)
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]  # it ships no types

from clients.process.exits import ConfigurationError
from clients.process.listen import Address, check_free
from clients.process.replaced import Replaced
from clients.process.tls import Identity
from controlplane.api.interceptor import Front
from penstock.v1 import (
    artifact_pb2,
    audit_pb2,
    credential_pb2,
    customer_pb2,
    entitlement_pb2,
    node_pb2,
    organization_pb2,
    pull_pb2,
    user_pb2,
)
from penstock.v1.artifact_pb2_grpc import ArtifactServiceServicer, add_ArtifactServiceServicer_to_server
from penstock.v1.audit_pb2_grpc import AuditServiceServicer, add_AuditServiceServicer_to_server
from penstock.v1.credential_pb2_grpc import (
    CredentialServiceServicer,
    add_CredentialServiceServicer_to_server,
)
from penstock.v1.customer_pb2_grpc import CustomerServiceServicer, add_CustomerServiceServicer_to_server
from penstock.v1.entitlement_pb2_grpc import (
    EntitlementServiceServicer,
    add_EntitlementServiceServicer_to_server,
)
from penstock.v1.node_pb2_grpc import NodeServiceServicer, add_NodeServiceServicer_to_server
from penstock.v1.organization_pb2_grpc import (
    OrganizationServiceServicer,
    add_OrganizationServiceServicer_to_server,
)
from penstock.v1.pull_pb2_grpc import PullServiceServicer, add_PullServiceServicer_to_server
from penstock.v1.user_pb2_grpc import UserServiceServicer, add_UserServiceServicer_to_server

SETTING: Final = "PENSTOCK_GRPC_LISTEN"
SERVICES: Final = tuple(
    service.full_name
    for module in (
        organization_pb2,
        customer_pb2,
        user_pb2,
        entitlement_pb2,
        audit_pb2,
        credential_pb2,
        artifact_pb2,
        pull_pb2,
        node_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)
"""Full names of Penstock's own services."""

# Clients look the types of error details up by reflection: their file has to be loaded.
_REFLECTED: Final = (error_details_pb2.DESCRIPTOR,)

# Manifests are up to 4 MiB; as the clients have it.
_MAX_MESSAGE_BYTES: Final = 16 << 20
# Seconds for calls that are under way when the port closes.
_GRACE: Final = 10.0

_OPTIONS: Final = (
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    # Two servers on one port would share its calls without a word.
    ("grpc.so_reuseport", 0),
    # Connections of nodes are quiet for long, and those that broke must be noticed.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


@dataclass(frozen=True, slots=True)
class Servicers:
    """One for each service."""

    organizations: OrganizationServiceServicer
    audit: AuditServiceServicer
    customers: CustomerServiceServicer
    users: UserServiceServicer
    entitlements: EntitlementServiceServicer
    credentials: CredentialServiceServicer
    artifacts: ArtifactServiceServicer
    pulls: PullServiceServicer
    nodes: NodeServiceServicer

    def by_service(self) -> Iterator[tuple[ServiceDescriptor, object]]:
        """Give each service with what answers it."""
        yield organization_pb2.DESCRIPTOR.services_by_name["OrganizationService"], self.organizations
        yield audit_pb2.DESCRIPTOR.services_by_name["AuditService"], self.audit
        yield customer_pb2.DESCRIPTOR.services_by_name["CustomerService"], self.customers
        yield entitlement_pb2.DESCRIPTOR.services_by_name["EntitlementService"], self.entitlements
        yield user_pb2.DESCRIPTOR.services_by_name["UserService"], self.users
        yield credential_pb2.DESCRIPTOR.services_by_name["CredentialService"], self.credentials
        yield artifact_pb2.DESCRIPTOR.services_by_name["ArtifactService"], self.artifacts
        yield pull_pb2.DESCRIPTOR.services_by_name["PullService"], self.pulls
        yield node_pb2.DESCRIPTOR.services_by_name["NodeService"], self.nodes


class GrpcPort:
    """A server on one address; raises ConfigurationError where that cannot be listened on.

    With `tls` it speaks nothing else, and each connection gets the certificate that is current.
    """

    def __init__(self, address: Address, tls: Replaced[Identity] | None = None) -> None:
        check_free(address, SETTING)
        self.address = address
        self._tls = tls
        self._health = health.aio.HealthServicer()
        self._front: Front | None = None
        self._server: grpc.aio.Server | None = None

    async def start(self, servicers: Servicers, front: Front) -> None:
        """Listen and serve, with `front` before every method; then `address` has the true port."""
        server = grpc.aio.server(interceptors=(front,), options=_OPTIONS)
        add_OrganizationServiceServicer_to_server(servicers.organizations, server)
        add_AuditServiceServicer_to_server(servicers.audit, server)
        add_CustomerServiceServicer_to_server(servicers.customers, server)
        add_EntitlementServiceServicer_to_server(servicers.entitlements, server)
        add_UserServiceServicer_to_server(servicers.users, server)
        add_CredentialServiceServicer_to_server(servicers.credentials, server)
        add_ArtifactServiceServicer_to_server(servicers.artifacts, server)
        add_PullServiceServicer_to_server(servicers.pulls, server)
        add_NodeServiceServicer_to_server(servicers.nodes, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        try:
            port = self._listen(server)
        except RuntimeError as error:
            raise ConfigurationError(
                f"{self.address} cannot be listened on: set {SETTING} to another address."
            ) from error
        await server.start()
        self.address = Address(self.address.host, port)
        self._front, self._server = front, server
        for name in SERVICES:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def _listen(self, server: grpc.aio.Server) -> int:
        if self._tls is None:
            return server.add_insecure_port(str(self.address))
        tls = self._tls
        identity = tls.current()
        credentials = grpc.dynamic_ssl_server_credentials(
            _shown(identity),
            # Asked on threads of gRPC's, once for each connection.
            lambda: _shown(tls.current()),
            require_client_authentication=bool(identity.client_ca),
        )
        return server.add_secure_port(str(self.address), credentials)

    async def stop(self) -> None:
        """Take no more calls, end streams, and give the others ten seconds to end."""
        await self._health.enter_graceful_shutdown()
        if self._front is not None:
            self._front.drain()
        if self._server is not None:
            await self._server.stop(_GRACE)


def _shown(identity: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key, identity.chain)], identity.client_ca or None
    )
