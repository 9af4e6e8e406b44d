"""What `penstock cache` runs: looks at a node's cache, and prints lines of JSON."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from clients.oci.digest import Digest, InvalidReference
from clients.process import log
from clients.process.exits import ConfigurationError, Exit
from clients.process.redact import redact
from dataplane.settings import Settings
from dataplane.tool.folder import CacheFolder, Row


def main(arguments: list[str]) -> int:
    """Run one of its verbs; gives the exit code."""
    given = _parser().parse_args(arguments)
    try:
        settings = Settings.load()
        log.configure("error", settings.log_format)
        digests = [Digest.parse(text) for text in given.digests]
        asyncio.run(_run(given, CacheFolder(settings), digests))
    except ConfigurationError as error:
        print(redact(str(error)), file=sys.stderr)
        return Exit.CONFIGURATION
    except InvalidReference as error:
        print(redact(str(error)), file=sys.stderr)
        return Exit.USAGE
    except OSError as error:
        print(f"The cache cannot be worked on: {error}.", file=sys.stderr)
        return Exit.FAILED
    return Exit.OK


async def _run(given: argparse.Namespace, folder: CacheFolder, digests: list[Digest]) -> None:
    match given.verb:
        case "list":
            await _show(folder.rows())
        case "stats":
            print(json.dumps(await folder.stats()), flush=True)
        case "evict":
            since = None if given.unused_for is None else time.time() - given.unused_for
            await _show(folder.evict(digests, since))
        case "verify":
            await _show(folder.verify(digests, asyncio.sleep, given.rate))


async def _show(rows: AsyncGenerator[Row, None]) -> None:
    async with aclosing(rows) as each:
        async for row in each:
            print(json.dumps(row), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dataplane.tool", description=__doc__)
    parser.add_argument("verb", choices=("list", "stats", "evict", "verify"))
    parser.add_argument("digests", nargs="*")
    parser.add_argument("--unused-for", type=float, help="seconds")
    parser.add_argument("--rate", type=int, default=0, help="bytes a second")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
