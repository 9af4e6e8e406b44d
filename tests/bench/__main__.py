"""`python -m tests.bench [NAME...]`: measures Penstock beside its peers; `make bench` runs all of it.

Prints a table for each case and writes bench-results.json. Ends with 1 when Penstock could not be measured.
"""

import argparse
import importlib
import os
import pkgutil
import resource
import signal
import statistics
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import ModuleType

from tests.bench import interleave, network, plot, readme, report, workloads
from tests.bench.bench import Bench
from tests.bench.case import Result
from tests.bench.load.message import LoadFailed
from tests.bench.servers.penstock import Penstock
from tests.bench.servers.server import NotAvailable

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench-results.json"
PLOT = ROOT / "docs" / "benchmarks.svg"
README = ROOT / "README.md"
# Minutes after which what is left is left out.
MOST, MOST_QUICK = 25.0, 6.0
# Workloads in whose place nothing else should be left out, and those that can best be missed.
FIRST, LAST = ("warm_manifests", "warm_blobs", "cold_blob", "manifests_during_fill"), ("sync",)
# Of a core: more than this used by others, and the figures say more about them.
QUIET = 0.05


def main() -> int:
    """Runs the workloads that the command line names."""
    names = sorted((module.name for module in pkgutil.iter_modules(workloads.__path__)), key=_turn)
    arguments = _arguments(names)
    if arguments.plot or arguments.readme:
        return _publish(table=arguments.readme)
    # By the way that ends every server.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    print(f"Runs in {network.enter()}, {os.cpu_count()} cores, {rounds} interleaved rounds.")
    print("Figures are medians [lowest-highest]; ratios are formed within each round.", flush=True)
    bystanders = interleave.Bystanders()
    results: list[Result] = []
    started = time.monotonic()
    deadline = started + 60 * (arguments.minutes or (MOST_QUICK if arguments.quick else MOST))
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", dir=arguments.directory) as directory:
        bench = Bench(Path(directory), rounds, 0.3 if arguments.quick else 0.5, arguments.quick, deadline)
        for name in names:
            if name in (arguments.names or names):
                module = importlib.import_module(f"{workloads.__name__}.{name}")
                results += _run(name, module, bench, bystanders)
                # What was measured is not lost with what comes after it.
                report.write(RESULTS, report.rows(results))
    rows = report.rows(results)
    report.write(RESULTS, rows)
    print(f"\n{len(rows)} rows in {RESULTS.name}, after {time.monotonic() - started:.0f} s.")
    _say_what_is_wrong(bench, bystanders)
    measured = [result for result in results if Penstock.name in result.samples]
    return 0 if results and len(measured) == len(results) else 1


def _turn(name: str) -> tuple[int, str]:
    return FIRST.index(name) if name in FIRST else len(FIRST) + (name in LAST), name


def _arguments(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which workloads: {', '.join(names)}; by default all"
    )
    parser.add_argument("--quick", action="store_true", help="fewer, shorter runs: a few minutes in all")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="interleaved rounds of each case (5, quick 2)"
    )
    parser.add_argument(
        "--directory", help="where files are kept meanwhile, 10 GB at most; by default $TMPDIR"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help=f"leave out what is not begun by then ({MOST:g}, quick {MOST_QUICK:g})",
    )
    parser.add_argument(
        "--readme",
        action="store_true",
        help=f"only write {README.name}'s table, and {PLOT.name}, from the last {RESULTS.name}",
    )
    parser.add_argument(
        "--plot", action="store_true", help=f"only draw {PLOT.name} from the last {RESULTS.name}"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"there is no workload {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return arguments


def _run(name: str, module: ModuleType, bench: Bench, bystanders: interleave.Bystanders) -> list[Result]:
    print(f"\n== {name}: {module.TITLE}", flush=True)
    started = time.monotonic()
    results: list[Result] = []
    if bench.is_late():
        bench.leave_out(f"{name}: there was no time left")
        return []
    try:
        for case in module.cases(bench):
            if bench.is_late():
                bench.leave_out(f"{name}, from {case.name} on: there was no time left")
                break
            result = interleave.run(name, case, bench.rounds, bystanders)
            if not results or results[-1].placement != result.placement:
                print(f"({result.placement})")
            print(report.table(result), flush=True)
            results.append(result)
    except (NotAvailable, LoadFailed, OSError) as error:
        bench.leave_out(f"{name}: {error}")
    except Exception as error:  # noqa: BLE001 - a workload that fails does not take the others with it
        traceback.print_exc()
        bench.leave_out(f"{name}: {type(error).__name__}: {error}")
    if reachable := report.ceiling(results):
        print(f"The load generator would reach {reachable} with a whole core of its own.", flush=True)
    print(f"({time.monotonic() - started:.0f} s)", flush=True)
    return results


def _publish(*, table: bool) -> int:
    rows = report.read(RESULTS)
    PLOT.parent.mkdir(exist_ok=True)
    PLOT.write_text(plot.draw(readme.select(rows)))
    print(f"wrote {PLOT.relative_to(ROOT)}")
    if table:
        README.write_text(readme.written(README.read_text(), rows, str(PLOT.relative_to(ROOT))))
        print(f"wrote the table in {README.relative_to(ROOT)}")
    return 0


def _say_what_is_wrong(bench: Bench, bystanders: interleave.Bystanders) -> None:
    for what in bench.left_out:
        print(f"LEFT OUT {what.splitlines()[0]}")
    others = statistics.median(bystanders.cores or [0.0])
    if others > QUIET:
        print(f"TAKEN ON A BUSY MACHINE: others used {others:.2f} cores (median of the runs); repeat it.")


if __name__ == "__main__":
    sys.exit(main())
