"""containerd: a private daemon, and `ctr` that talks to it."""

import shutil
from pathlib import Path
from typing import Self

from tests.servers import requirement
from tests.servers.command import Finished, run
from tests.servers.process import Process


class Containerd:
    """A daemon of its own; `directory` must have a short path, for its socket's sake. Needs root."""

    def __init__(self, directory: Path):
        requirement.root("containerd unpacks layers with their owners")
        program = requirement.debian("containerd", "containerd")
        self._ctr = requirement.debian("ctr", "containerd")
        self._directory = directory
        self._socket = directory / "containerd.sock"
        self._user = ""
        self._pulled: set[str] = set()
        config = directory / "config.toml"
        config.write_text(
            f"""version = 2
root = "{directory / "root"}"
state = "{directory / "state"}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{self._socket}"
"""
        )
        self._process = Process("containerd", [program, "--config", config], log=directory / "containerd.log")

    def start(self) -> Self:
        self._process.start()
        self._process.wait_ready(lambda: self("version", ok=False).code == 0)
        return self

    def stop(self) -> None:
        self._process.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __call__(self, *argv: str, ok: bool = True) -> Finished:
        return run(self._ctr, "--address", self._socket, *argv, ok=ok)

    def login(self, host: str, token: str) -> None:
        """Notes what is sent with each pull: ctr keeps no credentials."""
        self._user = f"containerd:{token}"

    def pull(self, reference: str) -> str:
        """Pulls for the machine's platform, and gives the reference."""
        self("image", "pull", "--plain-http", "--snapshotter", "native", "--user", self._user, reference)
        self._pulled.add(reference)
        return reference

    def pull_by(self, hosts: Path, reference: str) -> str:
        """Pulls as a directory of `hosts.toml` files says; gives the digest that the name then has."""
        self("image", "pull", "--hosts-dir", hosts, "--snapshotter", "native", reference)
        self._pulled.add(reference)
        rows = [line.split() for line in self("image", "ls", f"name=={reference}").out.splitlines()]
        return next(row[2] for row in rows if row[0] == reference)

    def forget(self) -> None:
        """Removes every image and all content, so that the next pull asks for everything again."""
        if self._pulled:
            self("image", "rm", "--sync", *self._pulled)
        self._pulled.clear()
