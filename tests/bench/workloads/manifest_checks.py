"""What is looked at and noted for each warm manifest: entitlements, and the pulls that are recorded."""

from collections.abc import Iterator
from functools import partial

from tests.bench import machine
from tests.bench.bench import Bench
from tests.bench.case import Case
from tests.bench.servers.nginx import Nginx
from tests.bench.servers.penstock import Entitled, Open, Penstock, Unrecorded
from tests.bench.workloads.warm_manifests import request

TITLE = "Warm manifests: entitlements and recorded pulls"
CONNECTIONS = 16


def cases(bench: Bench) -> Iterator[Case]:
    """By tag: as a customer beside a user who may have all, and with pulls recorded beside not recorded."""
    placement = machine.apart()
    for name, kinds in (
        ("entitled customer beside an open artifact", (Entitled, Open, Nginx)),
        ("pulls recorded beside not recorded", (Penstock, Unrecorded)),
    ):
        with bench.site() as site:
            site.add("warm", [4096] * 12, seed=7)
            with bench.running(site, *kinds, placement=placement, warm="warm") as field:
                if field.servers and field.servers[0].name == kinds[0].name:
                    measure = partial(
                        request,
                        method="GET",
                        reference="warm",
                        connections=CONNECTIONS,
                        seconds=bench.seconds,
                    )
                    yield Case(f"GET by tag, {name}", placement, field.servers, measure)
