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
from clients.process.place import ADMIN_TOKEN_FILE, DATA_DIR_SETTING, data_dir, prepare

CONTROLPLANE: Final = (sys.executable, "-m", "controlplane")
DATAPLANE: Final = (sys.executable, "-m", "dataplane")


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the parts listen, where they keep things, and the environment that says so."""

    places: Places
    directory: Path
    environment: Mapping[str, str]

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the environment, create the data directory, look at the ports; raises ConfigurationError."""
        places = Places.of(environment)
        directory = prepare(data_dir(environment))
        # Processes would find out as well; but a stranger's on these ports would be taken for ready.
        places.check_free()
        return cls(places, directory, environment)

    def planes(self) -> tuple[Plane, ...]:
        """Give the processes, in the order in which they need each other."""
        return (
            Plane("control plane", CONTROLPLANE, self.places.http),
            Plane("data plane", DATAPLANE, self.places.node),
        )

    def for_children(self) -> dict[str, str]:
        """Give the environment of the processes: the node is this control plane's, whatever was set."""
        return {
            **self.environment,
            DATA_DIR_SETTING: str(self.directory),
            "PENSTOCK_ADDRESS": str(self.places.grpc.dialled),
        }

    def where(self) -> dict[str, str]:
        """Tell where everything is."""
        return {
            "registry": str(self.places.registry.dialled),
            "api": str(self.places.grpc.dialled),
            "http": f"http://{self.places.http.dialled}/",
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
            "PENSTOCK_ADDRESS": (str(self.places.grpc.dialled), DEFAULT_ADDRESS),
            REGISTRY_SETTING: (str(registry), DEFAULTS[REGISTRY_SETTING]),
        }
        return (
            *(f"export {key}={shlex.quote(is_)}" for key, (is_, usual) in settings.items() if is_ != usual),
            f"{penstock} organizations create acme",
            f"{penstock} artifacts create acme/redis --upstream docker.io/library/redis --wait",
            f'eval "$({penstock} login-hint)"',
            f"docker pull {registry}/acme/redis:latest",
        )


def _penstock() -> str:
    """How this command is called here: by its name where the shell finds it."""
    return "penstock" if shutil.which("penstock") else shlex.quote(sys.argv[0])
