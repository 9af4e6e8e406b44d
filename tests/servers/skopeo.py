"""skopeo, with credentials of its own."""

from pathlib import Path

from tests.fakes.images import Image, write_layout
from tests.servers import requirement
from tests.servers.command import Finished, run
from tests.servers.layout import digest_in, new_folder


class Skopeo:
    """The skopeo command; `directory` holds its credentials."""

    def __init__(self, directory: Path):
        self._program = requirement.debian("skopeo", "skopeo")
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        registries = directory / "registries.conf"
        registries.write_text("unqualified-search-registries = []\n")
        self._env = {
            "REGISTRY_AUTH_FILE": str(directory / "auth.json"),
            "CONTAINERS_REGISTRIES_CONF": str(registries),
        }

    def __call__(self, *argv: str | Path, stdin: str = "", ok: bool = True) -> Finished:
        return run(self._program, "--insecure-policy", *argv, env=self._env, stdin=stdin, ok=ok)

    def login(self, host: str, token: str, user: str = "skopeo") -> None:
        self("login", "--tls-verify=false", "--username", user, "--password-stdin", host, stdin=token)

    def push(self, image: Image, reference: str) -> str:
        """Pushes an image, all platforms, its digests unchanged; gives the digest that the tag then has."""
        layout = new_folder(self._directory)
        write_layout(image, layout, "pushed")
        self(
            *("copy", "--all", "--preserve-digests", "--dest-tls-verify=false"),
            *(f"oci:{layout}:pushed", f"docker://{reference}"),
        )
        return str(image.digest)

    def push_as_docker_schema2(self, image: Image, reference: str) -> str:
        """Pushes an image converted to Docker's own media types; gives the digest of the new manifest."""
        layout = new_folder(self._directory)
        write_layout(image, layout, "pushed")
        digest_file = layout / "digest"
        self(
            *("copy", "--format=v2s2", "--dest-tls-verify=false", "--digestfile", digest_file),
            *(f"oci:{layout}:pushed", f"docker://{reference}"),
        )
        return digest_file.read_text().strip()

    def pull(self, reference: str) -> str:
        """Copies an image, all platforms, to a new OCI image layout; skopeo checks every digest."""
        layout = new_folder(self._directory)
        self(
            *("copy", "--all", "--preserve-digests", "--src-tls-verify=false"),
            *(f"docker://{reference}", f"oci:{layout}"),
        )
        return digest_in(layout)

    def forget(self) -> None:
        """Nothing to do: every pull starts anew."""

    def raw_manifest(self, reference: str) -> bytes:
        """The manifest as the registry sent it."""
        return self("inspect", "--raw", "--tls-verify=false", f"docker://{reference}").out.encode()

    def tags(self, repository: str) -> list[str]:
        return list(self("list-tags", "--tls-verify=false", f"docker://{repository}").json()["Tags"])
