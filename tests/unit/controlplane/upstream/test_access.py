"""What is told of upstreams that cannot be asked now."""

import pytest

from clients.oci.transport import Transport
from controlplane.model.artifact_tables import Artifact
from controlplane.upstream.access import UpstreamAccess
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
    assert said == [f"Requests to {origin} failed lately: its breaker is closed." for origin in told]
