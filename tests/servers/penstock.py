"""Penstock itself, started as its users start it: by the command in the virtual environment."""

import itertools
import os
import ssl
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests.servers import http
from tests.servers.command import Finished, run
from tests.servers.ports import free_ports
from tests.servers.process import Process

PROGRAM = Path(sys.executable).with_name("penstock")
_numbers = itertools.count(1)
# Answers in a row from which it is taken that every worker gives them.
_SERVED = 10


def environment(data: Path, **settings: str) -> dict[str, str]:
    """This process's environment with exactly these settings of Penstock (names without `PENSTOCK_`).

    Without a schedule of sync, unless one is given: tests count requests, whatever the time of day.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PENSTOCK_", "REGISTRY_UPSTREAM_"))
    }
    wanted = {"DATA_DIR": str(data), "ALLOW_PRIVATE_UPSTREAMS": "true", **settings}
    named = {
        name if name.startswith("REGISTRY_UPSTREAM_") else f"PENSTOCK_{name}": value
        for name, value in wanted.items()
    }
    return kept | {"REGISTRY_UPSTREAM_SYNC_CRON": ""} | named


def wait_served(registry: str, path: str, token: str) -> None:
    """Waits until a node, if it runs, has heard of a change or found the control plane again."""
    headers = {"Authorization": http.basic(token)}
    deadline = time.monotonic() + 30
    # Each connection is some worker's, and one may hear a moment after another.
    served = 0
    while time.monotonic() < deadline:
        try:
            status = http.request(registry, "GET", path, headers=headers).status
            served = served + 1 if status not in (401, 404, 503) else 0
            if served == _SERVED:
                return
            if served:
                continue
        except ConnectionError:
            return
        time.sleep(0.02)
    raise AssertionError(f"the data plane does not serve {path}")


class Penstock:
    """One installation on free ports.

    `together` runs it as `penstock up`, one process and its children; otherwise as `penstock controlplane`
    and `penstock dataplane`, which can then be stopped, killed and started one by one. With
    `tls`, whose settings are among the others, that is how the control plane is asked whether it is ready.
    """

    def __init__(
        self,
        directory: Path,
        *,
        together: bool = True,
        settings: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ):
        self.tls = tls
        directory.mkdir(parents=True, exist_ok=True)
        self.data = directory / "data"
        self.registry, self.grpc, self.http, self.node = (f"127.0.0.1:{port}" for port in free_ports(4))
        self.env = environment(
            self.data,
            REGISTRY_LISTEN=self.registry,
            GRPC_LISTEN=self.grpc,
            HTTP_LISTEN=self.http,
            NODE_LISTEN=self.node,
            ADDRESS=self.grpc if tls is None else f"https://{self.grpc}",
            **(settings or {}),
        )
        planes = ("up",) if together else ("controlplane", "dataplane")
        self.planes = {
            plane: Process(
                f"penstock {plane}", [PROGRAM, plane], log=directory / f"{plane}.log", env=self.env
            )
            for plane in planes
        }

    def start(self) -> "Penstock":
        """Starts what does not run, and waits until all of it is ready."""
        for process in self.planes.values():
            if not process.running:
                process.start()
        self.wait_ready()
        return self

    def start_plane(self, plane: str) -> None:
        """Starts one plane and waits until it is ready."""
        self.planes[plane].start()
        self.planes[plane].wait_ready(partial(self._ready, plane))

    def wait_ready(self) -> None:
        """Waits until every plane says that it is ready."""
        for plane, process in self.planes.items():
            process.wait_ready(partial(self._ready, plane))

    def _ready(self, plane: str) -> bool:
        addresses = {"controlplane": [self.http], "dataplane": [self.node], "up": [self.http, self.node]}
        return all(
            http.answers(address, "/readyz", tls=self.tls if address == self.http else None)
            for address in addresses[plane]
        )

    def wait_served(self, path: str, token: str) -> None:
        """Waits until the data plane, if it runs, has heard of a change or found the control plane again."""
        wait_served(self.registry, path, token)

    def stop(self) -> None:
        """Ends every plane, as SIGTERM does; the data plane first."""
        for process in reversed(self.planes.values()):
            process.stop()

    def cli(self, *argv: str, token: str | None = None, stdin: str = "", ok: bool = True) -> Finished:
        """The `penstock` command against this installation, as its administrator unless a token is given."""
        env = {name: value for name, value in self.env.items() if name.startswith("PENSTOCK_")}
        if token is not None:
            env["PENSTOCK_TOKEN"] = token
        return run(PROGRAM, *argv, env=env, stdin=stdin, ok=ok)

    def json(self, *argv: str) -> Any:
        """What the command prints with `--output json`."""
        return self.cli(*argv, "--output", "json").json()

    @property
    def admin_token(self) -> str:
        return (self.data / "admin-token").read_text().strip()

    def organization(self) -> "Organization":
        """A new organization, with a user and a token that may pull: what one test works with."""
        name = f"org{next(_numbers)}"
        self.cli("organizations", "create", name)
        return Organization(self, name)


class Organization:
    """An organization of its own for one test, so that tests can share an installation."""

    def __init__(self, penstock: Penstock, name: str):
        self.penstock = penstock
        self.name = name
        self._token: str | None = None

    @property
    def token(self) -> str:
        """The secret of a token that may pull, made when it is first asked for."""
        if self._token is None:
            self._token = self.new_token("puller@example.com")
            self.penstock.wait_served("/v2/", self._token)
        return self._token

    def new_token(self, email: str, *, role: str = "read_only") -> str:
        """The secret of a token of a new user."""
        self.penstock.cli("users", "create", self.name, email, "--role", role)
        return self.penstock.cli("tokens", "create", self.name, email).out.strip()

    def artifact(
        self,
        upstream: str,
        name: str = "app",
        *,
        wait: bool = True,
        credential: str = "",
        ca_certificates: Path | None = None,
    ) -> str:
        """Creates an artifact in front of an upstream repository; gives what clients pull, with the host.

        The upstream is at plain HTTP, unless there are certificates to verify it with.
        """
        flags = ["--ca-certificates", str(ca_certificates)] if ca_certificates else ["--plain-http"]
        flags += ["--credential", credential] if credential else []
        flags += ["--wait"] if wait else []
        self.penstock.cli("artifacts", "create", f"{self.name}/{name}", "--upstream", upstream, *flags)
        self.penstock.wait_served(f"/v2/{self.name}/{name}/tags/list", self.penstock.admin_token)
        return f"{self.penstock.registry}/{self.name}/{name}"

    def basic_credential(self, name: str, user: str, password: str) -> str:
        """Creates a credential with a user name and password; gives its name."""
        flags = ("--type", "basic", "--username", user, "--password-stdin")
        self.penstock.cli("credentials", "create", f"{self.name}/{name}", *flags, stdin=password)
        return name

    def ecr_credential(self, name: str, access_key_id: str, secret: str, endpoint: str) -> str:
        """Creates a credential with an AWS access key for an ECR API at an endpoint; gives its name."""
        flags = ("--type", "aws_ecr", "--access-key-id", access_key_id, "--secret-access-key-stdin")
        path = f"{self.name}/{name}"
        self.penstock.cli("credentials", "create", path, *flags, "--endpoint", endpoint, stdin=secret)
        return name

    def request(self, method: str, path: str, **headers: str) -> http.Answer:
        """One registry request with the puller's token; `path` is below `/v2/<organization>/`."""
        fields = {"Authorization": http.basic(self.token)}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        return http.request(self.penstock.registry, method, f"/v2/{self.name}/{path}", headers=fields)
