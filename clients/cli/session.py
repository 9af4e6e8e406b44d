"""What a command knows when it runs: where the control plane is, as whom to call it, how to print."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from clients.cli.failure import Failure
from clients.cli.output import Format
from clients.control.client import ControlClient
from clients.control.target import ADDRESS_SETTING, Target
from clients.control.token import is_well_formed
from clients.control.trust import Trust
from clients.process.cleartext import is_allowed
from clients.process.exits import Exit
from clients.process.place import ADMIN_TOKEN_FILE, data_dir, read_secret

DEFAULT_ADDRESS: Final = "127.0.0.1:8081"
TOKEN_SETTING: Final = "PENSTOCK_TOKEN"  # noqa: S105 - a variable's name


@dataclass(frozen=True, slots=True)
class Session:
    """One run of one command."""

    environment: Mapping[str, str]
    output: Format

    @property
    def target(self) -> Target:
        """Where the gRPC API is; raises ConfigurationError where the setting is wrong."""
        return Target.parse(self.environment.get(ADDRESS_SETTING) or DEFAULT_ADDRESS)

    @property
    def trust(self) -> Trust:
        """How to be sure of it, where it speaks TLS; raises ConfigurationError."""
        return Trust.of_environment(self.environment)

    @property
    def cleartext(self) -> bool:
        """Whether nobody minds what leaves this machine in clear; raises ConfigurationError."""
        return is_allowed(self.environment)

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
        """Give a client of the control plane; raises as `target`, `trust` and `token` do.

        A token that others could read on its way is sent all the same, with a warning on standard error.
        """
        target, token = self.target, self.token()
        client = ControlClient(str(target), token, self.trust)
        if target.is_exposed and not self.cleartext:
            print(f"penstock: warning: {target.warning}", file=sys.stderr)
        return client
