"""A client that asks for what docker asks for, over plain HTTP: a pull takes milliseconds."""

import time
from dataclasses import dataclass

from tests.fakes.images import Image
from tests.servers import http

# Seconds between two commands: the same request within 50 ms is one.
APART = 0.1


@dataclass(frozen=True)
class Scripted:
    """Somebody with a token and a program, who pulls from a registry, one command after the other."""

    address: str
    token: str
    agent: str

    def pull(self, repository: str, index: Image, tag: str = "1.0") -> int:
        """Pulls the first image of an index; gives the bytes of all bodies."""
        image = index.children[0]
        parts = [f"manifests/{index.digest}", f"manifests/{image.digest}"]
        parts += [f"blobs/{digest}" for digest in image.blobs]
        self._ask("HEAD", repository, f"manifests/{tag}")
        size = sum(self._ask("GET", repository, part) for part in parts)
        time.sleep(APART)
        return size

    def check(self, repository: str, tag: str = "1.0") -> None:
        """Looks what a tag stands for."""
        self._ask("HEAD", repository, f"manifests/{tag}")
        time.sleep(APART)

    def _ask(self, method: str, repository: str, part: str) -> int:
        headers = {"Authorization": http.basic(self.token), "User-Agent": self.agent}
        answer = http.request(self.address, method, f"/v2/{repository}/{part}", headers=headers)
        assert answer.status == 200, (method, part, answer)
        return len(answer.body)
