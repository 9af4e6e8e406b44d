"""nginx with static files: the limit for warm content, and the upstream of all caches."""

import os
from dataclasses import dataclass

from clients.oci.digest import Digest
from tests.bench.content import blob_path
from tests.bench.load.address import Address
from tests.bench.servers.server import Server, program
from tests.servers.ports import free_ports
from tests.servers.process import Process

_CONFIG = """\
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile 65536;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 32768; }}
http {{
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    open_file_cache {open_file_cache};
    log_format transfers '$request_method $uri $status $body_bytes_sent';
    access_log {access_log};
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    map_hash_bucket_size 512;
    map_hash_max_size 8192;
    map $uri $digest {{
        default "";
{digests}
    }}
    server {{
        listen {listen};
        {tls}
        root {root};
        default_type application/octet-stream;
        location = /v2/ {{ return 200; }}
        location ~ /tags/list$ {{ default_type application/json; }}
        location ~ /manifests/ {{
            default_type application/vnd.oci.image.manifest.v1+json;
            add_header Docker-Content-Digest $digest;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One response, from the access log: its body's bytes as sent."""

    method: str
    path: str
    status: int
    size: int


class Nginx(Server):
    """The files of `site.root`, with descriptors and sizes kept in memory, and no access log."""

    name = "nginx"
    _access_log = "off"
    _open_file_cache = "max=1000 inactive=1h"
    # Where it is not to be as many as the others have.
    _workers = 0

    def start(self) -> None:
        directory, site, tls = self.setup.directory, self.setup.site, self.setup.certificate
        (port,) = free_ports(1)
        self._address = Address("127.0.0.1", port, tls.context() if tls else None)
        config = directory / "nginx.conf"
        config.write_text(
            _CONFIG.format(
                # As root it would serve as nobody, who may not read a private directory.
                user="user root;" if os.geteuid() == 0 else "",
                workers=self._workers or self.setup.workers,
                directory=directory,
                listen=f"{self._address} {'ssl' if tls else ''}",
                tls=f"ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key};" if tls else "",
                access_log=self._access_log.format(directory=directory),
                open_file_cache=self._open_file_cache,
                digests="\n".join(f'        "{path}" "{digest}";' for path, digest in site.digests.items()),
                root=site.root,
            )
        )
        binary = program("nginx", "nginx")
        self._process = Process(
            f"nginx {port}",
            [binary, "-p", directory, "-c", config, "-e", "stderr"],
            log=directory / "nginx.log",
        )
        self.start_process(self._process)
        self._process.wait_ready(self.accepts)

    def stop(self) -> None:
        self._process.stop()

    def pids(self) -> set[int]:
        return {self._process.pid}

    @property
    def address(self) -> Address:
        return self._address


class SingleNginx(Nginx):
    """The same, with one process however many the others have."""

    name = "nginx, one worker"
    _workers = 1


class UpstreamNginx(Nginx):
    """The upstream of caches: its access log tells what it sent, and it sees files come and go."""

    name = "upstream"
    _access_log = "{directory}/access.log transfers"
    _open_file_cache = "off"

    def sent_blob(self, digest: Digest) -> list[Sent]:
        """Every response to a GET of this blob that has ended, in the order of their ends."""
        lines = (self.setup.directory / "access.log").read_text().splitlines()
        path = blob_path(digest)
        return [sent for line in lines if (sent := parse_sent(line)).path == path and sent.method == "GET"]


def parse_sent(line: str) -> Sent:
    """Reads a line of the access log, in the format `transfers`."""
    method, path, status, size = line.split(" ")
    return Sent(method, path, int(status), int(size))
