"""What is told of upstreams that cannot be asked now."""

from contextlib import suppress

import pytest

from clients.oci.errors import UpstreamPaused
from clients.oci.transport import Transport
from controlplane.model.artifact_tables import Artifact
from controlplane.upstream.access import UpstreamAccess
from tests.fakes.clock import Clock
from tests.fakes.rows import NOW

# Where a registry redirects: the host after the scheme.
LED_TO = "cdn.example for https://gcr.io"


@pytest.mark.parametrize(
    ("upstream", "told"),
    [
        ("gcr.io/app", ["https://gcr.io", "https://cdn.example for https://gcr.io"]),
        ("cdn.example/app", []),
        ("cr.io/app", []),
        ("docker.io/library/redis", ["https://registry-1.docker.io", "https://auth.docker.io"]),
        ("127.0.0.1:5000/app", ["https://127.0.0.1:5000"]),
        ("127.0.0.1:500/app", []),
    ],
)
async def test_trouble_is_told_of_the_artifact_s_own_upstream(upstream: str, told: list[str]) -> None:
    """And of the realm beside it, but not of a host that has its name in it: that may be somebody else's."""
    artifact = Artifact(upstream=upstream, create_time=NOW, update_time=NOW)
    async with Transport(allow_private=True) as transport:
        for host in ("gcr.io", "registry-1.docker.io", "auth.docker.io", "127.0.0.1:5000", LED_TO):
            with transport.breakers.watch(f"https://{host}", host) as outcome:
                outcome.problem = "It did not answer."
        said = UpstreamAccess(transport, allow_private=True).trouble(artifact)
    assert said == [f"A request to {origin} failed lately: it is asked as usual." for origin in told]


@pytest.mark.parametrize("plain_http", [True, False])
async def test_trouble_is_told_of_the_port_as_the_artifact_asks_it(plain_http: bool) -> None:
    """Not of the other scheme, which another artifact has, or this one had; nor of where that leads."""
    artifact = Artifact(
        upstream="r.example:5000/app", plain_http=plain_http, create_time=NOW, update_time=NOW
    )
    async with Transport(allow_private=True) as transport:
        for scheme in ("http", "https"):
            for origin in (
                f"{scheme}://r.example:5000",
                f"https://cdn.example for {scheme}://r.example:5000",
            ):
                with transport.breakers.watch(origin, "r.example:5000") as outcome:
                    outcome.problem = "It did not answer."
        said = UpstreamAccess(transport, allow_private=True).trouble(artifact)
    own = "http://r.example:5000" if plain_http else "https://r.example:5000"
    assert said == [
        f"A request to {origin} failed lately: it is asked as usual."
        for origin in (own, f"https://cdn.example for {own}")
    ]


async def test_an_upstream_that_is_left_alone_is_told_in_plain_words() -> None:
    """Without the name that the state has inside."""
    artifact = Artifact(upstream="gcr.io/app", create_time=NOW, update_time=NOW)
    clock = Clock()
    async with Transport(allow_private=True, clock=clock) as transport:
        for _ in range(10):
            with suppress(UpstreamPaused), transport.breakers.watch("https://gcr.io", "gcr.io") as outcome:
                outcome.problem = "It did not answer."
        access = UpstreamAccess(transport, allow_private=True)
        assert access.trouble(artifact) == [
            "Requests to https://gcr.io failed again and again: it is left alone a moment."
        ]
        clock.now += 60
        assert access.trouble(artifact) == [
            "Requests to https://gcr.io failed again and again: the next one finds out whether it answers."
        ]
