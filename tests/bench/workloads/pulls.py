"""Questions about millions of pulls, on SQLite and PostgreSQL: lists, top lists, sums by day, an export."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.api.pulls import PullServicer
from penstock.v1 import pull_pb2 as pb
from tests.bench import machine
from tests.bench.bench import Bench
from tests.bench.case import Case, Metric, Sample
from tests.bench.content import MiB
from tests.bench.servers.pull_seed import DAYS, NOW, SLUG
from tests.bench.servers.pull_store import PullStore, stores

TITLE = "Questions about pulls that are stored"
SLOWEST = Metric("slowest", "s", less=True)
ALL = Metric("all", "s", less=True)
RATE = Metric("rate", "pulls/s")
GROWTH = Metric("memory growth", "MiB", less=True)

_PARENT = f"organizations/{SLUG}"
_Sums = pb.SumPullsRequest
Ask = Callable[[PullServicer], Awaitable[Any]]


def cases(bench: Bench) -> Iterator[Case]:
    """Each question once a round."""
    count = 200_000 if bench.quick else 5_000_000
    exported = count // 5
    with bench.site() as site, stores(site.directory, count, bench.leave_out) as found:
        placement = machine.shared()
        for name, questions in QUESTIONS.items():
            yield Case(
                f"{name}, {count:,} pulls", placement, found, partial(asked, questions=questions), rounds=3
            )
        yield Case(
            f"export of {exported:,} pulls",
            placement,
            found,
            partial(export, share=exported / count),
            rounds=1,
        )


def _at(days_ago: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(NOW - timedelta(days=days_ago))
    return stamp


def _list(**fields: Any) -> Ask:
    request = pb.ListPullsRequest(parent=_PARENT, filter=pb.PullFilter(**fields))
    return lambda pulls: pulls.ListPulls(request, object())


def _sum(*by: Any, period: Any = 0, distinct: bool = False, size: int = 10, **fields: Any) -> Ask:
    chosen = pb.PullFilter(**{"start_time": _at(31), **fields})
    request = _Sums(
        parent=_PARENT, filter=chosen, group_by=by, period=period, distinct=distinct, page_size=size
    )
    return lambda pulls: pulls.SumPulls(request, object())


def _holders(versions: str) -> Ask:
    request = pb.ListVersionHoldersRequest(parent=f"{_PARENT}/artifacts/app7", version_range=versions)
    return lambda pulls: pulls.ListVersionHolders(request, object())


_ARTIFACT = f"{_PARENT}/artifacts/app7"
_OTHER = f"{_PARENT}/artifacts/app40"
_BIG = f"{_PARENT}/customers/customer0"
_USER = f"{_PARENT}/users/user17@example.com"
_SMALL = f"{_PARENT}/customers/customer900"
QUESTIONS: dict[str, dict[str, Ask]] = {
    "filtered lists": {
        "newest": _list(),
        "some days of long ago": _list(start_time=_at(80), end_time=_at(70)),
        "a big customer": _list(customer=_BIG),
        "a small customer, cold": _list(customer=_SMALL, temperature=pb.COLD),
        "an artifact": _list(artifact=_ARTIFACT),
        "a tag of an artifact": _list(artifact=_ARTIFACT, tag="1.3.0"),
        "versions of an artifact": _list(artifact=_ARTIFACT, version_range=">=1.2 <1.5"),
        "a digest": _list(digest="sha256:" + "7".rjust(64, "0")),
        "a user's checks": _list(user=_USER, kind=pb.PullEvent.CHECK),
        "a token": _list(token_uid="6-1234"),
        "an address": _list(address="2001:db8::4242"),
        "clients by their beginning": _list(client="docker/20.10.1*"),
        "a customer and an artifact that it never pulled": _list(
            customer=_BIG, artifact=f"{_PARENT}/artifacts/app40"
        ),
        "a customer, a client, and cold": _list(
            customer=_BIG, client="docker/20.10.1 go/1.18", temperature=pb.COLD
        ),
        "an address of another customer": _list(customer=_BIG, address="2001:db8::4242"),
    },
    "top lists": {
        "artifacts": _sum(_Sums.ARTIFACT),
        "customers": _sum(_Sums.CUSTOMER),
        "users": _sum(_Sums.USER),
        "tokens": _sum(_Sums.TOKEN),
        "clients": _sum(_Sums.CLIENT),
        "addresses": _sum(_Sums.ADDRESS),
        "distinct users and customers": _sum(distinct=True),
        "versions of an artifact": _sum(_Sums.TAG, artifact=_ARTIFACT),
        "customers on a range of versions": _sum(_Sums.CUSTOMER, artifact=_ARTIFACT, version_range="<1.10"),
        "who is still on a range": _holders("<1.10"),
        "artifacts by distinct users": _sum(_Sums.ARTIFACT, distinct=True),
    },
    "a month by day": {
        "all": _sum(period=_Sums.DAY, size=40),
        "a customer": _sum(period=_Sums.DAY, size=40, customer=_BIG),
        "an artifact and a customer": _sum(period=_Sums.DAY, size=40, customer=_BIG, artifact=_ARTIFACT),
        "each artifact": _sum(_Sums.ARTIFACT, period=_Sums.DAY, size=1000),
        "all by hour": _sum(period=_Sums.HOUR, size=1000),
    },
    "a month by day, by anything": {
        f"{name.lower()}s": _sum(getattr(_Sums, name), period=_Sums.DAY, size=1000)
        for name in ("ARTIFACT", "TAG", "CUSTOMER", "USER", "TOKEN", "ADDRESS", "CLIENT")
    }
    | {
        "a user of an artifact": _sum(period=_Sums.DAY, size=40, user=_USER, artifact=_ARTIFACT),
        "addresses of a customer": _sum(_Sums.ADDRESS, period=_Sums.DAY, size=1000, customer=_BIG),
        "distinct users": _sum(period=_Sums.DAY, size=40, distinct=True),
        "clients of an artifact, from the events": _sum(_Sums.CLIENT, artifact=_ARTIFACT),
    },
}


def asked(store: PullStore, number: int, *, questions: dict[str, Ask]) -> Sample:
    """Asks all of them, and tells how long each took in the first round."""
    seconds = {}
    for name, ask in questions.items():
        started = time.perf_counter()
        store.run(ask)
        seconds[name] = time.perf_counter() - started
    if number == 0:
        told = ", ".join(f"{name} {1000 * spent:.0f}" for name, spent in seconds.items())
        print(f"  {store.name}, ms: {told}", flush=True)
    return {SLOWEST: max(seconds.values()), ALL: sum(seconds.values())}


def export(store: PullStore, _number: int, *, share: float) -> Sample:
    """Exports the last of them, and looks at this process's memory after each piece."""
    request = pb.ExportPullsRequest(
        parent=_PARENT,
        format=pb.ExportPullsRequest.CSV,
        filter=pb.PullFilter(start_time=_at(DAYS * share)),
    )

    async def copied(pulls: PullServicer) -> tuple[int, int]:
        written = highest = 0
        first = None
        async for piece in pulls.ExportPulls(request, object()):
            written += piece.pulls
            memory = _resident()
            # The first pieces bring what stays: names, statements, buffers.
            first = memory if written < 20_000 or first is None else first
            highest = max(highest, memory - first)
            await asyncio.sleep(0)
        return written, highest

    gc.collect()
    started = time.perf_counter()
    written, grown = store.run(copied)
    return {RATE: written / (time.perf_counter() - started), GROWTH: grown / MiB}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
