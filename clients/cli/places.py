"""Where the processes of one installation listen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from clients.process.exits import ConfigurationError
from clients.process.listen import Address, check_free

REGISTRY_SETTING: Final = "PENSTOCK_REGISTRY_LISTEN"
_GRPC_SETTING: Final = "PENSTOCK_GRPC_LISTEN"
_HTTP_SETTING: Final = "PENSTOCK_HTTP_LISTEN"
_NODE_SETTING: Final = "PENSTOCK_NODE_LISTEN"

DEFAULTS: Final[Mapping[str, str]] = {
    REGISTRY_SETTING: "127.0.0.1:8080",
    _GRPC_SETTING: "127.0.0.1:8081",
    _HTTP_SETTING: "127.0.0.1:8082",
    _NODE_SETTING: "127.0.0.1:8083",
}


@dataclass(frozen=True, slots=True)
class Places:
    """Listening addresses: of the registry, the gRPC API, the control plane's HTTP port, the node's."""

    registry: Address
    grpc: Address
    http: Address
    node: Address

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the four settings; raises ConfigurationError, naming the one that is wrong."""
        return cls(*(listening(environment, setting) for setting in DEFAULTS))

    def check_free(self) -> None:
        """Raise ConfigurationError unless all four can be listened on, and told to others beforehand."""
        taken: set[Address] = set()
        for setting, address in zip(DEFAULTS, (self.registry, self.grpc, self.http, self.node), strict=True):
            if address.port == 0:
                raise ConfigurationError(
                    f"{setting} is {address}: `penstock up` must know the port, so give one that is not 0."
                )
            if address in taken:
                raise ConfigurationError(
                    f"{setting} is {address}, which another setting says too: change one."
                )
            taken.add(address)
            check_free(address, setting)


def listening(environment: Mapping[str, str], setting: str) -> Address:
    """Read one of the four settings; raises ConfigurationError."""
    return Address.parse(environment.get(setting) or DEFAULTS[setting], setting)
