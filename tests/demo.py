"""The story of one image, told by running it: pulled cold, pulled warm, pulled without its upstream.

`make demo` runs this. It needs nothing from outside: the upstream is a small registry of the tests.
"""

import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.servers import http
from tests.servers.penstock import Penstock

_MIB = 1024 * 1024
_PLATFORM = {"os": "linux", "architecture": "amd64"}


@dataclass(frozen=True, slots=True)
class Pull:
    """What one pull brought, and how long it took."""

    seconds: float
    requests: int
    size: int
    digest: str

    def __str__(self) -> str:
        speed = self.size / _MIB / self.seconds
        return (
            f"{self.seconds:6.2f} s  {self.requests} requests, {self.size / _MIB:.0f} MiB, {speed:,.0f} MiB/s"
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What an upstream was asked, by method and kind, and the bytes of blobs that it sent."""

    requests: dict[str, int]
    blob_bytes: int


class Upstream:
    """The registry of the tests as a process of its own, so that it can be stopped like a real one."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.fakes.registry", "--layers", "4", "--layer-mib", "32"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address: str = json.loads(self._process.stdout.readline())["address"]

    def stop(self) -> Asked:
        """End it, if it still runs, and give what it was asked."""
        if self._process.poll() is not None:
            return Asked({}, 0)
        self._process.send_signal(signal.SIGTERM)
        printed, _ = self._process.communicate(timeout=10)
        return Asked(**json.loads(printed))


def pull(registry: str, repository: str, tag: str, token: str) -> Pull:
    """Pull an image as a client does: index, manifest, config, layers; every digest is verified."""
    headers = {"Authorization": http.basic(token)}
    requests = size = 0

    def get(path: str, digest: str | None) -> bytes:
        nonlocal requests, size
        answer = http.request(registry, "GET", f"/v2/{repository}/{path}", headers=headers)
        requests += 1
        size += len(answer.body)
        if answer.status != 200:
            raise SystemExit(f"GET {path} was answered with {answer.status}: {answer.body.decode()}")
        if digest is not None and f"sha256:{hashlib.sha256(answer.body).hexdigest()}" != digest:
            raise SystemExit(f"{path} has another digest")
        return answer.body

    begun = time.monotonic()
    index = get(f"manifests/{tag}", None)
    chosen = next(
        child["digest"]
        for child in json.loads(index)["manifests"]
        if _PLATFORM.items() <= child["platform"].items()
    )
    manifest = json.loads(get(f"manifests/{chosen}", chosen))
    for blob in (manifest["config"], *manifest["layers"]):
        get(f"blobs/{blob['digest']}", blob["digest"])
    digest = f"sha256:{hashlib.sha256(index).hexdigest()}"
    return Pull(time.monotonic() - begun, requests, size, digest)


def tell(penstock: Penstock, upstream: Upstream) -> None:
    """Run the story and print it."""

    def penstock_command(*argv: str, stdin: str = "") -> str:
        print(f"$ penstock {' '.join(argv)}")
        return penstock.cli(*argv, stdin=stdin).out.strip()

    def show(title: str, done: Pull) -> None:
        print(f"  {title:<28}{done}")

    print(f"\nThe upstream is at {upstream.address}, Penstock at {penstock.registry}.\n")
    reference = f"{upstream.address}/demo/app"
    penstock_command("organizations", "create", "acme")
    penstock_command("artifacts", "create", "acme/app", "--upstream", reference, "--plain-http", "--wait")
    penstock_command("users", "create", "acme", "ci@example.com", "--role", "read_only")
    token = penstock_command("tokens", "create", "acme", "ci@example.com")
    print(f"\n{penstock_command('tags', 'list', 'acme/app')}\n")

    print(f"Pulling {penstock.registry}/acme/app:1.0 with a plain HTTP client:")
    cold = pull(penstock.registry, "acme/app", "1.0", token)
    show("cold, through the upstream", cold)
    warm = pull(penstock.registry, "acme/app", "1.0", token)
    show("warm, from the cache", warm)

    asked = upstream.stop()
    requests = ", ".join(f"{count} x {kind}" for kind, count in asked.requests.items())
    print(f"\nThe upstream is stopped now. All that it was ever asked, sync included: {requests};")
    print(f"and it sent {asked.blob_bytes / _MIB:.0f} MiB of blobs.\n")
    again = pull(penstock.registry, "acme/app", "1.0", token)
    show("warm, without the upstream", again)

    same = cold.digest == warm.digest == again.digest
    print(f"\n{'All three pulls gave the same image' if same else 'The pulls differ'}: {cold.digest}")
    if not same:
        raise SystemExit(1)


def main() -> None:
    """Start both, tell the story, stop both."""
    with tempfile.TemporaryDirectory(prefix="penstock-demo-") as directory:
        upstream = Upstream()
        penstock = Penstock(Path(directory))
        try:
            print("Starting Penstock on free ports, with a data directory that is removed at the end ...")
            penstock.start()
            tell(penstock, upstream)
        finally:
            penstock.stop()
            upstream.stop()


if __name__ == "__main__":
    main()
