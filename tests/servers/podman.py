"""podman, with storage and credentials of its own."""

import shutil
from pathlib import Path

from tests.servers import requirement
from tests.servers.command import Finished, run


class Podman:
    """The podman command; `directory` holds all that it knows. Needs root, as it unpacks layers."""

    def __init__(self, directory: Path):
        requirement.root("podman unpacks layers with their owners")
        self._program = requirement.debian("podman", "podman")
        self._storage = directory / "storage"
        directory.mkdir(parents=True, exist_ok=True)
        self._registries = directory / "registries.conf"
        self._registries.write_text("unqualified-search-registries = []\n")
        storage = directory / "storage.conf"
        storage.write_text(
            f"""[storage]
driver = "vfs"
graphroot = "{self._storage}"
runroot = "{directory / "run"}"
"""
        )
        credentials = directory / "auth.json"
        credentials.write_text("{}")
        self._env = {
            "REGISTRY_AUTH_FILE": str(credentials),
            "CONTAINERS_REGISTRIES_CONF": str(self._registries),
            "CONTAINERS_STORAGE_CONF": str(storage),
        }
        self._tmp = directory / "tmp"
        self._policy = directory / "policy.json"
        self._policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def __call__(self, *argv: str | Path, stdin: str = "", ok: bool = True) -> Finished:
        return run(self._program, "--tmpdir", self._tmp, *argv, env=self._env, stdin=stdin, ok=ok)

    def configure(self, registries: str) -> None:
        """Adds to what it knows of registries: a part of registries.conf."""
        with self._registries.open("a") as file:
            file.write(registries)

    def login(self, host: str, token: str) -> None:
        self("login", "--tls-verify=false", "--username", "podman", "--password-stdin", host, stdin=token)

    def pull(self, reference: str) -> str:
        """Pulls, and gives the digest of the image's manifest."""
        self("pull", "--quiet", "--tls-verify=false", "--signature-policy", self._policy, reference)
        return str(self("image", "inspect", reference).json()[0]["Digest"])

    def forget(self) -> None:
        """Removes every image and layer, so that the next pull asks for everything again."""
        self("rmi", "--all", "--force")

    def close(self) -> None:
        shutil.rmtree(self._storage, ignore_errors=True)
