"""Whoever complains can name the request, and its name finds what every process said of it."""

import json
import logging
import re

import grpc
import pytest

from clients.process.log import JsonFormatter
from tests.fakes.aborts import Fault
from tests.fakes.images import make_image
from tests.integration.dataplane.conftest import Setup

MADE = re.compile(r"[0-9a-f]{12}-[0-9a-f]+")


@pytest.mark.parametrize("path", ["manifests/1.0", "manifests/2.0", "tags/list", "nonsense"])
async def test_every_answer_has_an_id(setup: Setup, path: str) -> None:
    """The client's own where it is well-formed, else one that no other answer has; cold and warm."""
    await setup.artifact(make_image())
    seen = set()
    for _ in range(3):
        answer = await setup.get(path)
        assert MADE.fullmatch(answer.headers["X-Request-Id"])
        seen.add(answer.headers["X-Request-Id"])
        answer = await setup.get(path, X_Request_Id="4bf92f35-77b3")
        assert answer.headers["X-Request-Id"] == "4bf92f35-77b3"
        answer = await setup.get(path, X_Request_Id="no such id")
        assert MADE.fullmatch(answer.headers["X-Request-Id"])
    assert len(seen) == 3


async def test_the_control_plane_is_told(setup: Setup) -> None:
    """Of the request that it is asked for."""
    await setup.artifact(make_image())
    await setup.get("manifests/1.0", X_Request_Id="one")
    assert setup.plane.request_ids["ResolveReference"] == "one"
    await setup.get("manifests/2.0")
    assert MADE.fullmatch(setup.plane.request_ids["ResolveReference"])
    assert setup.plane.request_ids["WatchConfig"] == ""


async def test_log_lines_have_it(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    """Those that were written for the sake of the request, and no others."""
    lines: list[dict[str, str]] = []

    class Reader(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter().format(record)))

    reader = Reader()
    logging.getLogger("dataplane").addHandler(reader)
    try:
        await setup.artifact(make_image())
        setup.plane.faults["GetUpstreamAccess"] = Fault(grpc.StatusCode.INTERNAL)
        image = make_image(seed=9)
        await setup.artifact(image, repository="acme/other")
        path = f"/v2/acme/other/blobs/{image.layers[0].digest}"
        answer = await setup.request("GET", "/v2/acme/other/manifests/1.0", X_Request_Id="manifest")
        assert answer.status == 200
        answer = await setup.request("GET", path, X_Request_Id="blob")
        assert answer.status >= 500
    finally:
        logging.getLogger("dataplane").removeHandler(reader)
    assert "blob" in {line.get("request_id") for line in lines if line["level"] in ("warning", "error")}
    assert not [line for line in lines if line.get("request_id") == "manifest"]
