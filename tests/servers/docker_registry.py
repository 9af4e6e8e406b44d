"""Debian's docker-registry (CNCF Distribution) as an upstream."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.servers import http, requirement
from tests.servers.certificates import KeyPair
from tests.servers.command import run
from tests.servers.ports import free_ports
from tests.servers.process import Process
from tests.servers.token_server import ISSUER, TokenServer

_CONFIG = """\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: {storage}
http:
  addr: {address}
{more}"""
_TLS = """\
  tls:
    certificate: {certificate}
    key: {key}
"""
_HTPASSWD = """\
auth:
  htpasswd:
    realm: basic-realm
    path: {path}
"""
_TOKEN = """\
auth:
  token:
    realm: {realm}
    service: docker-registry
    issuer: {issuer}
    rootcertbundle: {bundle}
"""


class DockerRegistry:
    """One registry process on a free port, with storage of its own.

    It is open to all unless it gets `users` (Basic; passwords of up to 255 characters) or `tokens` (Bearer).
    With `tls`, it is at https; `trust` is then what trusts its certificate.
    """

    def __init__(
        self,
        directory: Path,
        *,
        users: Mapping[str, str] | None = None,
        tokens: TokenServer | None = None,
        tls: KeyPair | None = None,
        trust: ssl.SSLContext | None = None,
    ):
        program = requirement.debian("docker-registry", "docker-registry")
        self.host = f"127.0.0.1:{free_ports(1)[0]}"
        self._open = users is None and tokens is None
        self._trust = trust
        directory.mkdir(parents=True, exist_ok=True)
        more = _TLS.format(certificate=tls.certificate, key=tls.key) if tls else ""
        if users is not None:
            more += _HTPASSWD.format(path=_htpasswd(directory / "htpasswd", users))
        if tokens is not None:
            more += _TOKEN.format(realm=tokens.realm, issuer=ISSUER, bundle=tokens.bundle)
        config = directory / "registry.yml"
        config.write_text(_CONFIG.format(storage=directory / "storage", address=self.host, more=more))
        self._process = Process(
            f"docker-registry {self.host}", [program, "serve", config], log=directory / "registry.log"
        )

    def start(self) -> Self:
        self._process.start()
        status = 200 if self._open else 401
        self._process.wait_ready(lambda: http.answers(self.host, "/v2/", status=status, tls=self._trust))
        return self

    def stop(self) -> None:
        self._process.stop()

    def count(self, method: str, kind: str) -> int:
        """How many requests there were for `manifests`, `blobs` or `tags`, from its access log."""
        pattern = re.compile(rf'"{method} /v2/\S+/{kind}/\S+ HTTP/')
        return len(pattern.findall(self._process.log.read_text(errors="replace")))


def _htpasswd(path: Path, users: Mapping[str, str]) -> Path:
    program = requirement.debian("htpasswd", "apache2-utils")
    # bcrypt at its cheapest, since the registry checks the password at each request.
    lines = [run(program, "-niBC", "4", user, stdin=password).out for user, password in users.items()]
    path.write_text("".join(lines))
    return path
