"""What the upstream of the conformance tests holds; `python -m tests.conformance.content` serves it."""

import argparse
import asyncio
import signal

from tests.fakes.images import make_artifact, make_chart, make_image, make_index
from tests.fakes.registry import FakeRegistry

REPOSITORY = "team/app"
EMPTY_REPOSITORY = "team/empty"

AMD64 = make_image(layers=[b"bottom\n", 100_000], seed=1)
ARM64 = make_image(layers=[b"bottom\n", 200_000], platform=("linux", "arm64", "v8"), seed=2)
INDEX = make_index([AMD64, ARM64])
DOCKER = make_image(layers=[b"docker\n"], seed=3, docker=True)
DOCKER_LIST = make_index([DOCKER], docker=True)
CHART = make_chart()
SBOM = make_artifact(subject=AMD64)

# One of each kind, by tag; upper case, digits and signs, so that their order matters.
MANIFESTS = {
    "1.0": INDEX,
    "1.0-amd64": AMD64,
    "Docker": DOCKER,
    "_list": DOCKER_LIST,
    "chart_1.2.3": CHART,
    "sbom": SBOM,
    **dict.fromkeys(("10.0", "2.0", "Latest", "latest", "latest-2", "z" * 128), INDEX),
}
TAGS = sorted(MANIFESTS)
# Pulled by no test but those that want to see it cold.
COLD = make_image(layers=[b"cold\n"], seed=4)


async def _serve(port: int) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    registry = FakeRegistry(port=port)
    for tag, image in MANIFESTS.items():
        registry.add(image, REPOSITORY, [tag])
    # Known by its digest alone.
    registry.add(COLD, REPOSITORY)
    registry.add(COLD, EMPTY_REPOSITORY)
    async with registry:
        await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().port))
