"""oras-py, the client of PyPI, in this process."""

import hashlib
from pathlib import Path

from oras.client import OrasClient

from tests.servers.layout import new_folder


class OrasPy:
    """One user's client; `directory` is where pulled files go. Ends its session with `close`."""

    def __init__(self, directory: Path):
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._client = OrasClient(insecure=True, auth_backend="basic")

    def login(self, host: str, token: str) -> None:
        self._client.auth.set_basic_auth("oras", token)

    def fetch(self, reference: str) -> None:
        """Pulls every layer to a file, and asks for nothing else."""
        self._client.pull(target=reference, outdir=str(new_folder(self._directory)))

    def pull(self, reference: str) -> str:
        """Pulls every layer to a file, checks it, and gives the digest of the manifest."""
        folder = new_folder(self._directory)
        files = self._client.pull(target=reference, outdir=str(folder))
        container = self._client.get_container(reference)
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        answer = self._client.do_request(f"http://{container.manifest_url()}", "GET", headers=accept)
        wanted = sorted(layer["digest"] for layer in answer.json()["layers"])
        # oras-py itself checks nothing.
        assert sorted(_digest(Path(file).read_bytes()) for file in files) == wanted
        return _digest(answer.content)

    def forget(self) -> None:
        """Nothing to do: every pull starts anew."""

    def tags(self, repository: str) -> list[str]:
        return list(self._client.get_tags(repository))

    def close(self) -> None:
        self._client.session.close()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
