"""Ceph's object gateway from Debian's packages: an S3 server that checks signatures, like Amazon's.

One monitor, one storage daemon that keeps everything in memory, and the gateway; all on loopback.
"""

import contextlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from botocore.session import get_session

from tests.servers import http
from tests.servers.command import run
from tests.servers.ports import free_ports
from tests.servers.process import Process
from tests.servers.requirement import debian

ENVIRONMENT: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": "ceph-test-key",
    "AWS_SECRET_ACCESS_KEY": "ceph/test+secret",
    # The gateway's zone group, which signatures are made for.
    "AWS_REGION": "default",
}
"""What makes a client of it."""

_CONFIG: Final = """\
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
run_dir = {home}/run
admin_socket = {home}/run/$cluster-$name.asok
pid_file = {home}/run/$name.pid
log_file = {home}/$name.log
# One copy, in few pieces: the fewer, the sooner it runs.
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 1
mon_data_avail_crit = 1
rgw_rados_pool_pg_num_min = 1
[mon.a]
mon_data = {home}/mon
[osd.0]
osd_data = {home}/osd
osd_objectstore = memstore
memstore_device_bytes = 2G
[client.rgw.a]
# Without authentication there is no key to encrypt with.
ms_mon_client_mode = crc
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_data = {home}/rgw
rgw_enable_usage_log = false
rgw_enable_ops_log = false
"""


class Ceph:
    """A gateway on a free port, with one user; tests that lack the programs are skipped."""

    def __init__(self, home: Path) -> None:
        self._monitor, self._storage, self._gateway, self._admin, self._ceph, self._map = (
            debian(program, package)
            for program, package in (
                ("ceph-mon", "ceph-mon"),
                ("ceph-osd", "ceph-osd"),
                ("radosgw", "radosgw"),
                ("radosgw-admin", "radosgw"),
                ("ceph", "ceph-common"),
                ("monmaptool", "ceph-common"),
            )
        )
        self._home = home
        self._config = home / "ceph.conf"
        self._running: list[Process] = []
        port, self._v1, self._v2 = free_ports(3)
        self.host = f"127.0.0.1:{port}"

    @property
    def url(self) -> str:
        """Base URL of the endpoint."""
        return f"http://{self.host}"

    def start(self) -> Self:
        """Makes a cluster, and starts it; takes some ten seconds."""
        for folder in ("run", "mon", "osd", "rgw"):
            (self._home / folder).mkdir(parents=True)
        fsid, storage_id = str(uuid.uuid4()), str(uuid.uuid4())
        port = self.host.rpartition(":")[2]
        self._config.write_text(
            _CONFIG.format(fsid=fsid, home=self._home, v1=self._v1, v2=self._v2, port=port)
        )
        monitors = self._home / "monmap"
        addresses = f"[v2:127.0.0.1:{self._v2},v1:127.0.0.1:{self._v1}]"
        run(self._map, "--create", "--clobber", "--fsid", fsid, "--addv", "a", addresses, monitors)
        self._run(self._monitor, "--mkfs", "-i", "a", "--monmap", str(monitors))
        self._start(self._monitor, "-i", "a")
        self._run(self._ceph, "osd", "new", storage_id, "0")
        self._run(self._storage, "-i", "0", "--mkfs", "--osd-uuid", storage_id)
        self._start(self._storage, "-i", "0")
        gateway = self._start(self._gateway, "-n", "client.rgw.a")
        self._run(
            *(self._admin, "user", "create", "--uid=test", "--display-name=test"),
            f"--access-key={ENVIRONMENT['AWS_ACCESS_KEY_ID']}",
            f"--secret-key={ENVIRONMENT['AWS_SECRET_ACCESS_KEY']}",
        )
        gateway.wait_ready(lambda: http.answers(self.host, "/", status=200))
        return self

    def make_bucket(self, name: str) -> None:
        """Makes a bucket that is quick to use: the gateway makes its pools when they are wanted first."""
        client = get_session().create_client(
            "s3",
            endpoint_url=self.url,
            region_name=ENVIRONMENT["AWS_REGION"],
            aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        )
        with contextlib.closing(client):
            client.create_bucket(Bucket=name)
            client.put_object(Bucket=name, Key="first", Body=b"")
            client.delete_object(Bucket=name, Key="first")

    @property
    def pids(self) -> set[int]:
        """All of its processes."""
        return {process.pid for process in self._running}

    def stop(self) -> None:
        """Ends all of it, and what it kept is gone."""
        # Nothing is to be saved: the quickest end is the best.
        for process in self._running:
            process.kill()

    def _run(self, program: Path, *arguments: str) -> None:
        run(program, "-c", self._config, *arguments)

    def _start(self, program: Path, *arguments: str) -> Process:
        name = program.name
        process = Process(
            name, [program, "-c", self._config, "-f", *arguments], log=self._home / f"{name}.out"
        )
        process.start()
        self._running.append(process)
        return process
