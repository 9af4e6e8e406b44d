"""Clients that `tests/setup.sh` builds with Go: crane, oras, helm, grpcurl."""

from pathlib import Path

from tests.servers import requirement
from tests.servers.command import Finished, run
from tests.servers.layout import digest_in, new_folder


class Crane:
    """go-containerregistry's command, with credentials of its own; it checks every digest."""

    def __init__(self, directory: Path):
        self._program = requirement.go_built("crane")
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def __call__(self, *argv: str | Path, stdin: str = "", ok: bool = True) -> Finished:
        return run(
            *(self._program, "--insecure", *argv),
            env={"DOCKER_CONFIG": str(self._directory)},
            stdin=stdin,
            ok=ok,
        )

    def login(self, host: str, token: str) -> None:
        self("auth", "login", "--username", "crane", "--password-stdin", host, stdin=token)

    def pull(self, reference: str) -> str:
        """Pulls an image, all platforms, to a new OCI image layout."""
        layout = new_folder(self._directory)
        self("pull", "--format=oci", reference, layout)
        return digest_in(layout)

    def forget(self) -> None:
        """Nothing to do: every pull starts anew."""


class Oras:
    """The oras command, with credentials of its own: artifacts of any type, referrers."""

    def __init__(self, directory: Path):
        self._program = requirement.go_built("oras")
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def __call__(self, *argv: str | Path, stdin: str = "", ok: bool = True) -> Finished:
        return run(self._program, *argv, env={"DOCKER_CONFIG": str(self._directory)}, stdin=stdin, ok=ok)

    def login(self, host: str, token: str) -> None:
        self("login", "--plain-http", "--username", "oras", "--password-stdin", host, stdin=token)

    def pull(self, reference: str) -> str:
        """Copies everything that a reference reaches to a new OCI image layout."""
        layout = new_folder(self._directory)
        self("copy", "--from-plain-http", "--to-oci-layout", reference, f"{layout}:copy")
        return digest_in(layout)

    def forget(self) -> None:
        """Nothing to do: every pull starts anew."""

    def discover(self, reference: str) -> Finished:
        """Lists the referrers of a manifest."""
        return self("discover", "--plain-http", "--format=json", reference)


class Helm:
    """The helm command, with every folder of its own."""

    def __init__(self, directory: Path):
        self._program = requirement.go_built("helm")
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._env = {
            "HELM_REGISTRY_CONFIG": str(directory / "registry.json"),
            "HELM_CACHE_HOME": str(directory / "cache"),
            "HELM_CONFIG_HOME": str(directory / "config"),
            "HELM_DATA_HOME": str(directory / "data"),
        }

    def __call__(self, *argv: str | Path, stdin: str = "", ok: bool = True) -> Finished:
        return run(self._program, *argv, env=self._env, stdin=stdin, ok=ok)

    def login(self, host: str, token: str) -> None:
        self(
            *("registry", "login", "--plain-http", "--username", "helm", "--password-stdin", host),
            stdin=token,
        )

    def pull(self, reference: str) -> str:
        """Pulls a chart by its version or digest, has helm read it, and gives the digest of its manifest."""
        folder = new_folder(self._directory)
        finished = self("pull", f"oci://{reference}", "--plain-http", "--destination", folder)
        (chart,) = folder.iterdir()
        self("show", "chart", chart)
        (digest,) = (
            line.split()[1]
            for line in (finished.out + finished.err).splitlines()
            if line.startswith("Digest:")
        )
        return digest

    def forget(self) -> None:
        """Nothing to do: every pull starts anew."""


class Grpcurl:
    """grpcurl without any .proto file: it knows what reflection tells it."""

    def __init__(self, address: str, token: str, *how: str | Path):
        """`how` are options of the connection; without any it is in clear."""
        self._program = requirement.go_built("grpcurl")
        self._how = how or ("-plaintext",)
        self._address = address
        self._headers = ("-H", f"authorization: Bearer {token}")

    def __call__(self, *argv: str, data: str = "{}", ok: bool = True) -> Finished:
        """Calls a method (`penstock.v1.Service/Method`), or runs `list` or `describe`; errors are JSON."""
        return run(
            *(self._program, *self._how, "-format-error", *self._headers),
            *(("-d", data) if "/" in argv[0] else ()),
            *(self._address, *argv),
            ok=ok,
        )
