"""A further node of an installation: a data plane of its own, with its own directory and token."""

import itertools
from functools import partial
from pathlib import Path
from typing import Self

from tests.servers import http
from tests.servers.penstock import PROGRAM, Penstock, wait_served
from tests.servers.ports import free_ports
from tests.servers.process import Process

_numbers = itertools.count(1)


class Node:
    """One data plane beside those that the installation has; it must run when this is made."""

    def __init__(self, penstock: Penstock, directory: Path):
        directory.mkdir(parents=True, exist_ok=True)
        self.data = directory / "data"
        self.registry, self.node = (f"127.0.0.1:{port}" for port in free_ports(2))
        node_id = f"node-{next(_numbers)}"
        token = penstock.cli("nodes", "create", node_id).out.strip()
        env = penstock.env | {
            "PENSTOCK_DATA_DIR": str(self.data),
            "PENSTOCK_REGISTRY_LISTEN": self.registry,
            "PENSTOCK_NODE_LISTEN": self.node,
            "PENSTOCK_NODE_TOKEN": token,
        }
        self.process = Process(
            f"penstock dataplane {node_id}", [PROGRAM, "dataplane"], log=directory / "dataplane.log", env=env
        )

    def start(self) -> Self:
        self.process.start()
        self.process.wait_ready(partial(http.answers, self.node, "/readyz"))
        return self

    def wait_served(self, path: str, token: str) -> None:
        """Waits until this node has heard of a change."""
        wait_served(self.registry, path, token)

    def stop(self) -> None:
        self.process.stop()
