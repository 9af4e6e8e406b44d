"""A Prometheus of one's own, from Debian's package: it scrapes every second, and answers PromQL."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from tests.servers import http, requirement
from tests.servers.ports import free_ports
from tests.servers.process import Process

RULES = requirement.ROOT / "deploy" / "prometheus"
_INTERVAL = "1s"
Labels = tuple[str, ...]


class Prometheus:
    """One server, configured as docs/metrics.md says: the two jobs, a token to show, and the rules.

    `targets` are the addresses of each job.
    """

    def __init__(self, directory: Path, targets: Mapping[str, Sequence[str]], *, token: str):
        program = requirement.debian("prometheus", "prometheus")
        directory.mkdir(parents=True, exist_ok=True)
        (self.address,) = (f"127.0.0.1:{port}" for port in free_ports(1))
        self._targets = sum(map(len, targets.values()))
        secret = directory / "token"
        secret.write_text(token)
        every = {"scrape_interval": _INTERVAL, "scrape_timeout": _INTERVAL, "evaluation_interval": _INTERVAL}
        jobs = [
            {
                "job_name": job,
                "authorization": {"credentials_file": str(secret)},
                "static_configs": [{"targets": list(addresses)}],
            }
            for job, addresses in targets.items()
        ]
        rules = [str(RULES / name) for name in ("recording.yml", "alerts.yml")]
        config = directory / "prometheus.yml"
        # JSON is YAML.
        config.write_text(json.dumps({"global": every, "scrape_configs": jobs, "rule_files": rules}))
        self.process = Process(
            "prometheus",
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={self.address}",
                "--log.level=warn",
            ],
            log=directory / "prometheus.log",
        )

    def start(self) -> Self:
        """Starts the server, and waits until it has scraped every target."""
        self.process.start()
        self.process.wait_ready(lambda: http.answers(self.address, "/-/ready"))
        self.wait_scraped()
        return self

    def stop(self) -> None:
        self.process.stop()

    def query(self, expression: str, *by: str, at: float | None = None) -> dict[Labels, float]:
        """What an expression gives at a time, which is now unless it is said: values, by these labels."""
        moment = {} if at is None else {"time": f"{at:.3f}"}
        found = self._get("query", query=expression, **moment)["result"]
        return {tuple(one["metric"].get(label, "") for label in by): float(one["value"][1]) for one in found}

    def rules(self) -> list[dict[str, Any]]:
        """The rules, each with its health."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def wait_scraped(self) -> float:
        """Waits until every target was scraped after this call; gives a time that this is so at."""
        asked = time.time()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            now = time.time()
            fresh = self.query(f"timestamp(up == 1) > {asked:.3f}", "instance", at=now)
            if len(fresh) == self._targets:
                return now
            time.sleep(0.1)
        raise AssertionError(f"not every target was scraped: {self.query('up', 'instance')}")

    def _get(self, what: str, **parameters: str) -> Any:
        answer = http.request(self.address, "GET", f"/api/v1/{what}?{urlencode(parameters)}").json()
        assert answer["status"] == "success", answer
        return answer["data"]
