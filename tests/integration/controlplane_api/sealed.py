"""A control plane with a certificate, in files that a test may replace, and those who ask it."""

import asyncio
import functools
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.control.client import ControlClient
from clients.control.errors import PermissionDenied, Unreachable, translated
from clients.control.target import Target
from clients.control.trust import Trust
from controlplane.server import Running, running
from controlplane.settings import Settings
from penstock.v1.organization_pb2 import ListOrganizationsRequest
from tests.fakes import sqlite_copies
from tests.servers import http
from tests.servers.certificates import Authority, KeyPair


@dataclass
class Sealed:
    """It, running."""

    running: Running
    token: str
    pair: KeyPair
    authority: Authority
    directory: Path

    @property
    def target(self) -> Target:
        """Where it is."""
        return Target(self.running.grpc, tls=True)

    @property
    def trust(self) -> Trust:
        """In who signed its certificate."""
        return Trust(self.authority.write(self.directory))

    def own(self, authority: Authority, *, expired: bool = False) -> Trust:
        """The same, with a certificate of a client beside."""
        mine = authority.issue(self.directory / "mine", "client", expired=expired)
        return Trust.of(self.trust.ca_file, "", mine.certificate, mine.key)

    def client(self, target: Target | None = None, trust: Trust | None = None) -> ControlClient:
        """Its administrator's."""
        return ControlClient(str(target or self.target), self.token, self.trust if trust is None else trust)

    async def ask(self, target: Target | None = None, trust: Trust | None = None) -> str:
        """A call by a new client: nothing when it is answered, otherwise what is diagnosed."""
        async with self.client(target, trust) as client:
            return await answered(client)

    async def get(self, path: str, context: ssl.SSLContext | None, **headers: str) -> http.Answer:
        """A request to the HTTP port."""
        call = functools.partial(
            http.request, str(self.running.http), "GET", path, tls=context, headers=headers
        )
        return await asyncio.to_thread(call)

    def replace(self, pair: KeyPair) -> None:
        """Put another certificate in place of the one that there is."""
        for old, new in ((self.pair.certificate, pair.certificate), (self.pair.key, pair.key)):
            draft = old.with_suffix(".new")
            shutil.copy(new, draft)
            draft.replace(old)

    async def shown(self) -> list[bytes]:
        """The certificates that the gRPC port and the HTTP port show to a new client."""
        return [
            await asyncio.to_thread(_shown, address.host, address.port)
            for address in (self.running.grpc, self.running.http)
        ]


async def answered(client: ControlClient) -> str:
    """A call: nothing when it is answered, if only with a refusal; otherwise what is diagnosed."""
    try:
        with suppress(PermissionDenied), translated():
            await client.organizations.ListOrganizations(ListOrganizationsRequest())
    except Unreachable:
        return await client.diagnose()
    return ""


def der(pair: KeyPair) -> bytes:
    """A certificate as it is sent."""
    return ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())


@asynccontextmanager
async def started(
    settings: Settings, directory: Path, *hosts: str, expired: bool = False, **more: Any
) -> AsyncIterator[Sealed]:
    """Run one with a certificate for these hosts, and more settings."""
    authority = Authority()
    pair = authority.issue(directory / "served", *hosts, expired=expired)
    await sqlite_copies.copy_into(settings.data_dir)
    named = {"controlplane_tls_certificate": pair.certificate, "controlplane_tls_key": pair.key}
    async with running(settings.model_copy(update=named | more)) as found:
        yield Sealed(found, found.new_admin_token or "", pair, authority, directory / "ca")


def _shown(host: str, port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection((host, port)) as plain, context.wrap_socket(plain) as sealed:
        return sealed.getpeercert(binary_form=True) or b""
