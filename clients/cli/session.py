"""What a command knows when it runs: where the control plane is, as whom to call it, how to print."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from clients.cli.failure import Failure
from clients.cli.output import Format
from clients.control.client import ControlClient
from clients.control.token import is_well_formed
from clients.process.exits import Exit
from clients.process.listen import Address
from clients.process.place import ADMIN_TOKEN_FILE, data_dir, read_secret

DEFAULT_ADDRESS: Final = "127.0.0.1:8081"
TOKEN_SETTING: Final = "PENSTOCK_TOKEN"  # noqa: S105 - a variable's name


@dataclass(frozen=True, slots=True)
class Session:
    """One run of one command."""

    environment: Mapping[str, str]
    output: Format

    @property
    def address(self) -> str:
        """`host:port` of the gRPC API; raises ConfigurationError where the setting is wrong."""
        text = self.environment.get("PENSTOCK_ADDRESS") or DEFAULT_ADDRESS
        return str(Address.parse(text, "PENSTOCK_ADDRESS"))

    def token(self) -> str:
        """Give PENSTOCK_TOKEN, or what the first start left in the data directory.

        Raises Failure where there is none, or where it cannot be a token.
        """
        token = self.environment.get(TOKEN_SETTING, "").strip()
        source = TOKEN_SETTING
        if not token:
            path = data_dir(self.environment) / ADMIN_TOKEN_FILE
            source = str(path)
            try:
                token = read_secret(path)
            except FileNotFoundError:
                raise Failure(
                    f"There is no token: set {TOKEN_SETTING}, or PENSTOCK_DATA_DIR to the directory in which"
                    f" `penstock up` left one ({path} does not exist).",
                    Exit.NO_PERMISSION,
                ) from None
        if not is_well_formed(token):
            raise Failure(
                f"What {source} holds is not a whole token: copy it again, all 40 characters of it.",
                Exit.NO_PERMISSION,
            )
        return token

    def control(self) -> ControlClient:
        """Give a client of the control plane; raises as `address` and `token` do."""
        return ControlClient(self.address, self.token())
