"""A sync as a plain loop, for comparison: every tag and every manifest, each time; keeps nothing.

`python -m tests.bench.servers.plain_loop HOST REPOSITORY` prints how long it took, as JSON.
"""

import asyncio
import json
import resource
import sys
import time

import aiohttp

from clients.oci.media_types import ACCEPT_MANIFESTS

# As many requests at once as one sync of Penstock makes.
PARALLEL = 8


async def _sync(host: str, repository: str) -> int:
    base = f"http://{host}/v2/{repository}"
    fetched = 0
    async with aiohttp.ClientSession(headers={"Accept": ACCEPT_MANIFESTS}) as session:
        tags: list[str] = []
        url: str | None = f"{base}/tags/list?n=1000"
        while url is not None:
            async with session.get(url) as response:
                tags += (await response.json())["tags"]
                following = response.links.get("next")
                url = str(following["url"]) if following else None
        waiting = iter(tags)

        async def work() -> None:
            nonlocal fetched
            for tag in waiting:
                references = [tag]
                while references:
                    async with session.get(f"{base}/manifests/{references.pop()}") as response:
                        document = json.loads(await response.read())
                    fetched += 1
                    references += [child["digest"] for child in document.get("manifests", [])]

        await asyncio.gather(*(work() for _ in range(PARALLEL)))
    return fetched


def main() -> None:
    """Runs once."""
    started = time.monotonic()
    fetched = asyncio.run(_sync(*sys.argv[1:3]))
    spent = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "fetched": fetched,
                "seconds": time.monotonic() - started,
                "cpu_seconds": spent.ru_utime + spent.ru_stime,
                "peak_bytes": spent.ru_maxrss * 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
