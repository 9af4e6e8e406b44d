"""buildah, with storage and credentials of its own."""

from pathlib import Path

from tests.servers import requirement
from tests.servers.command import Finished, run


class Buildah:
    """The buildah command; `directory` holds all that it knows. Needs root, as it unpacks layers."""

    def __init__(self, directory: Path):
        requirement.root("buildah unpacks layers with their owners")
        self._program = requirement.debian("buildah", "buildah")
        directory.mkdir(parents=True, exist_ok=True)
        registries = directory / "registries.conf"
        registries.write_text("unqualified-search-registries = []\n")
        self._storage = ("--root", directory / "storage", "--runroot", directory / "run")
        self._policy = directory / "policy.json"
        self._policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self._env = {
            "REGISTRY_AUTH_FILE": str(directory / "auth.json"),
            "CONTAINERS_REGISTRIES_CONF": str(registries),
        }

    def __call__(self, *argv: str | Path, stdin: str = "", ok: bool = True) -> Finished:
        return run(
            *(self._program, *self._storage, "--storage-driver", "vfs", *argv),
            env=self._env,
            stdin=stdin,
            ok=ok,
        )

    def login(self, host: str, token: str) -> None:
        self("login", "--tls-verify=false", "--username", "buildah", "--password-stdin", host, stdin=token)

    def pull(self, reference: str) -> str:
        """Pulls, and gives the id of the image."""
        finished = self(
            "pull", "--quiet", "--tls-verify=false", "--signature-policy", self._policy, reference
        )
        return finished.out.strip()

    def forget(self) -> None:
        """Removes every image and layer, so that the next pull asks for everything again."""
        self("rmi", "--all", "--force")
