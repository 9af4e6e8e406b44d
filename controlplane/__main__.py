"""`python -m controlplane`: the control plane as a process."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence

from clients.process import log, tracing
from clients.process.exits import ConfigurationError, Exit
from clients.process.lasting import settle
from clients.process.place import ADMIN_TOKEN_FILE, prepare
from clients.process.redact import redact
from clients.process.unknown_settings import warn_of_unknown
from controlplane.model import bootstrap
from controlplane.model.database import DatabaseUnavailable
from controlplane.server import opened, running, utc_now
from controlplane.settings import Settings

_LOG = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; gives the exit code."""
    options = _parser().parse_args(arguments)
    # Whatever is written may hold secrets, or hashes of them.
    os.umask(0o077)
    try:
        settings = Settings.load()
        log.configure(settings.log_level, settings.log_format)
        if options.reset:
            asyncio.run(_reset(settings, options.reset))
        else:
            warn_of_unknown(os.environ)
            for warning in settings.exposed:
                _LOG.warning("%s", warning)
            tracing.configure(settings.tracing_endpoint, "penstock-controlplane")
            asyncio.run(_serve(settings))
    except ConfigurationError as error:
        print(redact(str(error)), file=sys.stderr)
        return Exit.CONFIGURATION
    except DatabaseUnavailable as error:
        print(redact(str(error)), file=sys.stderr)
        return Exit.UNAVAILABLE
    finally:
        tracing.stop()
    return Exit.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m controlplane",
        description="Runs the control plane until SIGTERM or Ctrl-C. Settings are environment variables.",
    )
    commands = parser.add_subparsers(metavar="command")
    reset = commands.add_parser(
        "reset-token",
        help="make a new token for the administrator or the local node, in place of a lost one",
    )
    reset.add_argument("reset", choices=("admin", "node"), help="whose token")
    parser.set_defaults(reset=None)
    return parser


async def _serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def end(number: signal.Signals) -> None:
        # A second signal is for those who cannot wait: it ends the process at once.
        loop.remove_signal_handler(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    async with running(settings) as plane:
        settle()
        if plane.new_admin_token is not None:
            place = prepare(settings.data_dir) / ADMIN_TOKEN_FILE
            print(f"Administrator's token, shown once and kept in {place}: {plane.new_admin_token}")
        sealed = ", both with TLS" if plane.tls else ""
        print(f"Control plane ready: gRPC at {plane.grpc}, HTTP at {plane.http}{sealed}.", flush=True)
        await stop.wait()


async def _reset(settings: Settings, word: str) -> None:
    directory = prepare(settings.data_dir)
    async with opened(settings) as database:
        print(await bootstrap.reset(database, directory, word, utc_now()))


if __name__ == "__main__":
    sys.exit(main())
