"""Docker Engine: a private daemon of its own, and the docker command that talks to it."""

import os
import shutil
from pathlib import Path

from tests.servers import requirement
from tests.servers.command import Finished, run
from tests.servers.process import Process

# With the process id of the run; at most 15 characters.
_BRIDGE = "penstock"


class Dockerd:
    """A private daemon that leaves the machine's own one, its bridge and firewall rules alone; needs root.

    `directory` must have a short path: a Unix socket's is at most 107 characters.
    """

    def __init__(self, directory: Path):
        requirement.root("a private dockerd makes a bridge and mounts")
        program = requirement.debian("dockerd", "docker.io")
        self._docker = requirement.debian("docker", "docker.io")
        self._ip = requirement.debian("ip", "iproute2")
        self._directory = directory
        self._socket = directory / "docker.sock"
        # With --bridge=none it would delete the bridge of another daemon on this machine.
        self._bridge = f"{_BRIDGE}{os.getpid()}"
        empty = directory / "daemon.json"
        empty.write_text("{}")
        self._process = Process(
            "dockerd",
            [
                program,
                *("--config-file", empty),
                *("--data-root", directory / "data"),
                *("--exec-root", directory / "exec"),
                *("--pidfile", directory / "docker.pid"),
                *("--host", f"unix://{self._socket}"),
                f"--bridge={self._bridge}",
                *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
                *("--userland-proxy=false", "--log-level=warn"),
            ],
            log=directory / "dockerd.log",
        )

    def start(self) -> "Dockerd":
        self._delete_bridges_of_the_dead()
        run(self._ip, "link", "add", self._bridge, "type", "bridge")
        run(self._ip, "address", "add", f"{self._free_address()}/30", "dev", self._bridge)
        self._process.start()
        self._process.wait_ready(lambda: self._run("version", ok=False).code == 0)
        return self

    def stop(self) -> None:
        self._process.stop()
        run(self._ip, "link", "delete", self._bridge, ok=False)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _free_address(self) -> str:
        # The bridge must have an address, though nothing is ever sent there. Documentation addresses
        # (RFC 5737), but some machines are in such a network, and other runs have bridges there.
        routes = run(self._ip, "-4", "route", "show").out.splitlines()
        of_others = "\n".join(route for route in routes if f" dev {_BRIDGE}" not in route)
        for prefix in ("198.51.100.", "203.0.113.", "192.0.2."):
            for block in range(0, 256, 4):
                taken = any(route.startswith(f"{prefix}{block}/30 ") for route in routes)
                if prefix not in of_others and not taken:
                    return f"{prefix}{block + 1}"
        raise AssertionError("every network of documentation addresses is in use here:\n" + "\n".join(routes))

    def _delete_bridges_of_the_dead(self) -> None:
        # A run that was killed could not clean up.
        for link in run(self._ip, "-oneline", "link", "show", "type", "bridge").out.splitlines():
            name = link.split(":")[1].strip()
            pid = name.removeprefix(_BRIDGE)
            if pid != name and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
                run(self._ip, "link", "delete", name, ok=False)

    def client(self, config: Path) -> "Docker":
        """A client with credentials of its own, kept in the folder `config`."""
        return Docker(self, config)

    def _run(self, *argv: str, config: Path | None = None, stdin: str = "", ok: bool = True) -> Finished:
        env = {
            "DOCKER_HOST": f"unix://{self._socket}",
            "DOCKER_CONFIG": str(config or self._directory / "config"),
        }
        return run(self._docker, *argv, env=env, stdin=stdin, ok=ok)


class Docker:
    """The docker command, logged in as one user; the images are the daemon's."""

    def __init__(self, daemon: Dockerd, config: Path):
        self._daemon = daemon
        self._config = config
        self._pulled: list[str] = []

    def __call__(self, *argv: str, stdin: str = "", ok: bool = True) -> Finished:
        return self._daemon._run(*argv, config=self._config, stdin=stdin, ok=ok)

    def login(self, host: str, token: str, *, user: str = "-", ok: bool = True) -> Finished:
        """Logs in, the token as the password."""
        return self("login", "--username", user, "--password-stdin", host, stdin=token, ok=ok)

    def pull(self, reference: str, *, platform: str = "") -> str:
        """Pulls for the machine's platform or another one; gives the digest that the image is known by."""
        chosen = ("--platform", platform) if platform else ()
        self("pull", "--quiet", *chosen, reference)
        self._pulled.append(reference)
        repository = repository_of(reference)
        digests = self("image", "inspect", reference).json()[0]["RepoDigests"]
        (digest,) = {one.partition("@")[2] for one in digests if one.startswith(f"{repository}@")}
        return str(digest)

    def image_id(self, reference: str) -> str:
        """The digest of the image's config."""
        return self("image", "inspect", "--format", "{{.Id}}", reference).out.strip()

    def forget(self) -> None:
        """Removes every image that was pulled, so that the next pull asks for everything again."""
        images = {self.image_id(reference) for reference in self._pulled}
        if images:
            self("image", "rm", "--force", *images)
        self._pulled.clear()


def repository_of(reference: str) -> str:
    """`host:port/path` of a reference with a tag or a digest."""
    name = reference.partition("@")[0]
    host, _, path = name.partition("/")
    return f"{host}/{path.partition(':')[0]}"
