"""All processes of one installation on one machine: their commands, addresses and files."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from clients.cli.places import DEFAULTS, REGISTRY_SETTING, Places
from clients.cli.session import DEFAULT_ADDRESS
from clients.cli.supervisor import Plane
from clients.control.target import ADDRESS_SETTING, Target
from clients.control.trust import CA_SETTING, CERTIFICATE_SETTING, KEY_SETTING, NAME_SETTING
from clients.process.listen import Address
from clients.process.place import ADMIN_TOKEN_FILE, DATA_DIR_SETTING, data_dir, prepare
from clients.process.tls import KeyFiles

CONTROLPLANE: Final = (sys.executable, "-m", "controlplane")
DATAPLANE: Final = (sys.executable, "-m", "dataplane")

_TLS: Final = "PENSTOCK_CONTROLPLANE_TLS"
# What a wildcard in a certificate's name stands for: any word would do.
_ANY: Final = "penstock"


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the parts listen, where they keep things, and the environment that says so.

    `way` are settings by which clients on this machine reach the control plane, and no other one.
    """

    places: Places
    directory: Path
    environment: Mapping[str, str]
    way: Mapping[str, str]

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the environment, create the data directory, look at the ports; raises ConfigurationError."""
        places = Places.of(environment)
        directory = prepare(data_dir(environment))
        # Processes would find out as well; but a stranger's on these ports would be taken for ready.
        places.check_free()
        return cls(places, directory, environment, _way(environment, places.grpc.dialled))

    @property
    def tls(self) -> bool:
        """Whether the control plane speaks TLS."""
        return bool(self.way[CA_SETTING])

    def planes(self) -> tuple[Plane, ...]:
        """Give the processes, in the order in which they need each other."""
        return (
            Plane("control plane", CONTROLPLANE, self.places.http, self.tls),
            Plane("data plane", DATAPLANE, self.places.node),
        )

    def for_children(self) -> dict[str, str]:
        """Give the environment of the processes: the node is this control plane's, whatever was set."""
        unused = {} if self.tls else {CERTIFICATE_SETTING: "", KEY_SETTING: ""}
        return {**self.environment, DATA_DIR_SETTING: str(self.directory), **self.way, **unused}

    def where(self) -> dict[str, str]:
        """Tell where everything is."""
        return {
            "registry": str(self.places.registry.dialled),
            "api": self.way[ADDRESS_SETTING],
            "http": f"{'https' if self.tls else 'http'}://{self.places.http.dialled}/",
            "node": f"http://{self.places.node.dialled}/",
            "data": str(self.directory),
            "token": str(self.directory / ADMIN_TOKEN_FILE),
        }

    def next_commands(self) -> tuple[str, ...]:
        """Give command lines for another terminal in the same directory, the settings they need included."""
        penstock = _penstock()
        registry = self.places.registry.dialled
        settings = {
            DATA_DIR_SETTING: (str(self.directory), str(data_dir({}).absolute())),
            ADDRESS_SETTING: (self.way[ADDRESS_SETTING], DEFAULT_ADDRESS),
            CA_SETTING: (self.way[CA_SETTING], ""),
            NAME_SETTING: (self.way[NAME_SETTING], ""),
            REGISTRY_SETTING: (str(registry), DEFAULTS[REGISTRY_SETTING]),
        }
        return (
            *(f"export {key}={shlex.quote(is_)}" for key, (is_, usual) in settings.items() if is_ != usual),
            f"{penstock} organizations create acme",
            f"{penstock} artifacts create acme/redis --upstream docker.io/library/redis --newest 5 --wait",
            f'eval "$({penstock} login-hint)"',
            f"docker pull {registry}/acme/redis:latest",
        )


def _way(environment: Mapping[str, str], grpc: Address) -> dict[str, str]:
    """How to reach the control plane on this machine; raises ConfigurationError where it cannot have TLS."""
    certificate, key, client_ca = (
        Path(file) if (file := environment.get(f"{_TLS}_{name}")) else None
        for name in ("CERTIFICATE", "KEY", "CLIENT_CA")
    )
    files = KeyFiles.of(_TLS, certificate, key, client_ca)
    if files is None:
        return {ADDRESS_SETTING: str(grpc), CA_SETTING: "", NAME_SETTING: ""}
    # Takes long to import, and is for this alone.
    from clients.process.leaf import Leaf  # noqa: PLC0415

    names = Leaf.parse(files.served(grpc=True).current().chain).names
    # Trusted is what it shows, whoever signed it, by a name that it has: it need not be one for loopback.
    return {
        ADDRESS_SETTING: str(Target(grpc, tls=True)),
        CA_SETTING: str(files.certificate),
        NAME_SETTING: "" if not names or grpc.host in names else names[0].replace("*", _ANY),
    }


def _penstock() -> str:
    """How this command is called here: by its name where the shell finds it."""
    return "penstock" if shutil.which("penstock") else shlex.quote(sys.argv[0])
