"""Sync of a repository of many tags, each an index of eight platforms: first, unchanged, 1 % moved."""

from collections.abc import Iterator
from functools import partial

from tests.bench import machine
from tests.bench.bench import Bench
from tests.bench.case import Case, Metric, Sample
from tests.bench.content import MiB
from tests.bench.servers.server import Server, Setup
from tests.bench.servers.syncing import Syncing, TaggedUpstream, syncing

TITLE = "Sync of many tags, beside a plain loop"
REQUESTS = Metric("requests", "in all", less=True)
GETS = Metric("manifests", "GETs", less=True)
TIME = Metric("time", "s", less=True)
CPU = Metric("CPU", "s", less=True)
PEAK = Metric("peak memory", "MiB", less=True)
GROWTH = Metric("memory growth", "MiB", less=True)


def cases(bench: Bench) -> Iterator[Case]:
    """One round of each: a first sync is only once the first."""
    placement = machine.shared()
    tags = 500 if bench.quick else 5000
    with bench.site() as site:
        upstream = TaggedUpstream(site.directory, tags)

        def setup(kind: type[Server]) -> Setup:
            directory = site.directory / kind.name.replace(" ", "-")
            directory.mkdir()
            return Setup(directory, site, placement.servers, upstream=upstream.host)

        with syncing(upstream, setup, bench.leave_out) as servers:
            for name, moved in (("first", 0), ("unchanged", 0), ("1 % moved", tags // 100)):
                upstream.move(moved)
                measure = partial(synced, upstream=upstream)
                yield Case(f"{name}, {tags:,} tags x 8 platforms", placement, servers, measure, rounds=1)


def synced(server: Server, _number: int, *, upstream: TaggedUpstream) -> Sample:
    """Syncs once, and counts at the upstream what that took."""
    assert isinstance(server, Syncing)
    upstream.asked()
    spent = server.sync()
    asked = upstream.asked()
    return {
        REQUESTS: sum(asked.values()),
        GETS: asked.get("GET manifests", 0),
        TIME: spent.seconds,
        CPU: spent.cpu_seconds,
        PEAK: spent.peak / MiB,
        GROWTH: spent.growth / MiB,
    }
