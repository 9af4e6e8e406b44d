"""nginx and HAProxy, from Debian's packages, in front of a node, as docs/proxies.md says to set them up."""

import re
import socket
import tempfile
from pathlib import Path
from typing import Final

from tests.servers.ports import free_ports
from tests.servers.process import Process
from tests.servers.requirement import ROOT, debian

_NODE: Final = re.compile(r"10\.0\.1\.11:8080")
_OTHER_NODES: Final = re.compile(r"^.*10\.0\.1\.12:8080.*\n", re.MULTILINE)
_LISTENING: Final = re.compile(r"(?<=bind ):\d+|(?<=listen )\d+(?=;)")
# What a system's own configuration has around it.
_NGINX: Final = """
daemon off;
pid {home}/pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    {site}
}}
"""


def documented(kind: str, number: int = 0) -> str:
    """A snippet of the documentation, of those that are in this language the one with this number."""
    text = (ROOT / "docs" / "proxies.md").read_text()
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[number]


class Front:
    """Passes clients on to the node at `node` (`host:port`); skips the test where that is not there."""

    def __init__(self, snippet: str, node: str) -> None:
        (self.port,) = free_ports(1)
        self._home = tempfile.TemporaryDirectory(prefix="penstock-front-")
        home = Path(self._home.name)
        snippet = _LISTENING.sub(f"127.0.0.1:{self.port}", _NODE.sub(node, _OTHER_NODES.sub("", snippet)))
        configuration = home / "configuration"
        if "proxy_pass" in snippet:
            configuration.write_text(_NGINX.format(home=home, site=snippet))
            argv: list[str | Path] = [debian("nginx", "nginx"), "-c", configuration]
        else:
            configuration.write_text(snippet)
            argv = [debian("haproxy", "haproxy"), "-db", "-f", configuration]
        self._process = Process("front", argv, log=home / "log")

    def start(self) -> "Front":
        """Starts it, and waits until it takes connections."""
        self._process.start()
        self._process.wait_ready(self._answers)
        return self

    def stop(self) -> None:
        """Ends it at once, and removes what it was set up with."""
        self._process.stop()
        self._home.cleanup()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
