"""Penstock itself, both planes, set up through its public contract: environment and command."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tests.bench import ask
from tests.bench.content import REPOSITORY
from tests.bench.load.address import Address
from tests.bench.load.message import LoadFailed
from tests.bench.servers.server import NotAvailable, Server
from tests.servers import penstock as installation
from tests.servers.command import CommandFailed
from tests.servers.http import basic
from tests.servers.process import ServerFailed

ORGANIZATION, _, ARTIFACT = REPOSITORY.partition("/")
_USER = "bench@example.com"


class Penstock(Server):
    """Both planes of an installation with one artifact in front of the upstream; a reader's token asks."""

    name = "penstock"
    # Settings of a variant, without `PENSTOCK_`.
    settings: ClassVar[Mapping[str, str]] = {}

    def start(self) -> None:
        if not installation.PROGRAM.exists():
            raise NotAvailable(f"there is no {installation.PROGRAM}: run 'make setup'")
        certificate = self.setup.certificate
        settings = {**self.settings, "WORKERS": str(self.setup.workers)}
        if certificate is not None:
            settings |= {"TLS_CERTIFICATE": str(certificate.certificate), "TLS_KEY": str(certificate.key)}
        self._penstock = installation.Penstock(self.setup.directory, together=False, settings=settings)
        self._address = Address.parse(self._penstock.registry, certificate.context() if certificate else None)
        try:
            for process in self._penstock.planes.values():
                self.start_process(process)
            self._penstock.wait_ready()
            if not self.headers:
                self._create()
            # The node hears of a new token a moment later.
            self._penstock.planes["dataplane"].wait_ready(self._knows_token)
        except (ServerFailed, CommandFailed) as error:
            self.stop()
            raise NotAvailable(str(error)) from error

    def stop(self) -> None:
        self._penstock.stop()

    def pids(self) -> set[int]:
        return {process.pid for process in self._penstock.planes.values() if process.running}

    @property
    def address(self) -> Address:
        return self._address

    def _knows_token(self) -> bool:
        try:
            ask.fetch(self, ask.version(self))
        except (LoadFailed, OSError):
            return False
        return True

    def _create(self) -> None:
        # The organization and the artifact are named so that paths are those of the upstream.
        cli = self._penstock.cli
        cli("organizations", "create", ORGANIZATION)
        cli(
            *("artifacts", "create", REPOSITORY, "--upstream", f"{self.setup.upstream}/{REPOSITORY}"),
            *("--plain-http", "--wait"),
        )
        cli("users", "create", ORGANIZATION, _USER, "--role", "read_only", *self.create_customer())
        token = cli("tokens", "create", ORGANIZATION, _USER).out.strip()
        self.headers = {"Authorization": basic(token)}

    def create_customer(self) -> Sequence[str]:
        """Creates what the user is to belong to; gives the options that say so."""
        return ()


class Open(Penstock):
    """The same, as the peer of one that has more to look at."""

    name = "penstock, open artifact"


class Entitled(Penstock):
    """The same, asked by a user of a customer who is entitled to some of the tags."""

    name = "penstock, entitled customer"

    def create_customer(self) -> Sequence[str]:
        cli = self._penstock.cli
        cli("customers", "create", f"{ORGANIZATION}/globex")
        # Of several rules one matches, and not the first.
        for name, tags in (("old", "0.*"), ("own", "warm*"), ("next", "9.*")):
            cli(
                *("entitlements", "create", ORGANIZATION, "--name", name, "--customer", "globex"),
                *("--artifact", ARTIFACT, "--tags", tags),
            )
        return ("--customer", "globex")


class Unrecorded(Penstock):
    """The same, with pulls not recorded."""

    name = "penstock, pulls not recorded"
    settings: ClassVar[Mapping[str, str]] = {"PULL_EVENTS": "false"}
