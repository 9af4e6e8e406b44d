"""Entry point of the `penstock` command."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from clients.cli import (
    artifacts,
    audit,
    cache,
    credentials,
    customers,
    entitlements,
    explain,
    failure,
    login,
    nodes,
    organizations,
    pulls,
    sign_ins,
    tags,
    tokens,
    up,
    users,
    version,
)
from clients.cli.command import application
from clients.cli.encoding import check_arguments, let_all_be_written
from clients.process.exits import Exit

_SUMMARY = """A self-hosted OCI pull-through cache: one registry in front of many.

\b
Settings:
  PENSTOCK_ADDRESS   gRPC API of the control plane, 127.0.0.1:8081 by default; https://host:port for TLS
  PENSTOCK_TOKEN     access token; by default what $PENSTOCK_DATA_DIR/admin-token holds
  PENSTOCK_DATA_DIR  where `penstock up` keeps everything, ./data by default

\b
Exit codes:
  0   done
  1   tried, and failed
  2   the command line, or a value in it, is wrong
  69  the control plane cannot be reached, or cannot answer now
  77  the token is missing, refused, or not enough for this
  78  a setting, port or directory is wrong
"""


app = application("penstock", _SUMMARY)
up.add(app)
login.add(app)
explain.add(app)
version.add(app)
for noun in (
    organizations,
    customers,
    users,
    tokens,
    entitlements,
    credentials,
    artifacts,
    tags,
    pulls,
    nodes,
    cache,
    audit,
    sign_ins,
):
    app.add_typer(noun.app)


def main() -> NoReturn:
    """Run the command line of this process, and end it with a code of `Exit`, or 130 on Ctrl-C."""
    try:
        try:
            let_all_be_written()
            check_arguments(sys.argv)
            app(prog_name="penstock")
        finally:
            # What cannot be written is found out here, and not after the last chance to say so.
            print(end="", flush=True)
    except BrokenPipeError:
        _drop_output()
        sys.exit(Exit.FAILED)
    except Exception as error:
        known = failure.of(error)
        if known is None:
            if os.environ.get("PENSTOCK_LOG_LEVEL", "").lower() == "debug":
                raise
            known = failure.Failure(
                f"This is a mistake in Penstock, please report it: {type(error).__name__}: {error}"
                " (PENSTOCK_LOG_LEVEL=debug shows where).",
            )
        if isinstance(error, OSError) and sys.stdout is not None:
            _drop_output()
        sys.exit(failure.report(known))
    sys.exit(Exit.OK)


def _drop_output() -> None:
    # Python would try once more at the very end, and fail in its own words with a code of its own.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    main()
