"""`penstock explain`: what the control plane found, and what nodes say that they have."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.v1.entitlement_pb2 import ExplainPullResponse
from tests.fakes.endpoint import Endpoint, Reply
from tests.servers.certificates import Authority
from tests.servers.ports import free_ports

FOUND = ExplainPullResponse(
    allowed=True,
    steps=[
        ExplainPullResponse.Step(check="role", outcome=ExplainPullResponse.PASSED, finding="It may pull.")
    ],
)
DIGEST = "sha256:" + "0" * 64


def told(*states: str, manifests: tuple[str, ...] = ("held",), **more: bool) -> Reply:
    """What a node answers that has blobs of 10 bytes in these states."""
    document = {
        "manifests": [{"digest": DIGEST, "size": 5, "state": state} for state in manifests],
        "blobs": [{"digest": DIGEST, "size": 10, "state": state} for state in states],
        "cut": False,
        "bucket": False,
        **more,
    }
    return Reply(200, json.dumps(document).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def node() -> Iterator[Endpoint]:
    """A node's own port."""
    with Endpoint() as node:
        yield node


def explain(run: Any, *options: str, reference: str = "acme/app:1.0") -> Any:
    """Run the command."""
    return run("explain", "--token-id", "t1", *options, reference)


def findings(result: Any) -> list[str]:
    """What was found where, from JSON."""
    assert result.code == 0, result.err
    steps = json.loads(result.out)["steps"]
    return [step["finding"] for step in steps if step["check"] == "cached where"]


def test_without_nodes_none_is_asked(run, api):
    """What the control plane found is shown, and the outcome."""
    api.answer("ExplainPull", FOUND)
    result = explain(run)
    assert result.code == 0
    assert "role (passed)" in result.out
    assert "cached" not in result.out
    assert result.out.endswith("The pull is allowed.\n")


def test_each_node_is_asked_as_the_caller(run, api, node):
    """With the caller's token, for what would be pulled, tag or digest."""
    api.answer("ExplainPull", FOUND)
    node.reply = told("stored", "stored", "absent", "fetching", manifests=("held", "absent"))
    (finding,) = findings(explain(run, "--node", node.url, "-o", "json"))
    blobs = "2 stored (20 bytes), 1 fetching, 1 absent"
    assert finding == f"{node.host}: manifests: 1 of 2 held; blobs: {blobs}."
    explain(run, "--node", node.url, reference=f"acme/app@{DIGEST}")
    first, second = node.received
    assert first.path == "/cached/acme/app?reference=1.0"
    assert first.headers["Authorization"] == f"Bearer {os.environ['PENSTOCK_TOKEN']}"
    assert second.query == {"reference": [DIGEST]}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (told(manifests=()), "no manifest of 1.0"),
        (told("stored", manifests=("stale",)), "stale"),
        (told("absent", bucket=True), "bucket"),
        (told("stored", cut=True), "more parts"),
        (Reply(404, b"Here are /healthz, ..."), "only members"),
        (Reply(503, b"No worker"), "503"),
        (Reply(200, b"<html>"), "nodes of this version"),
        (Reply(200, b'{"manifests": [1]}'), "nodes of this version"),
        (Reply(200, b'{"manifests": ' + b"[" * 100_000), "nodes of this version"),
        (Reply(200, b"x" * ((1 << 20) + 1)), "more than 1048576 bytes"),
        (Reply(302, b"", {"Location": "http://127.0.0.1:1/"}), "redirects"),
    ],
)
def test_what_nodes_say_is_told_as_such(run, api, node, reply, words):
    """Whatever it is: it decides nothing, and is asked for once."""
    api.answer("ExplainPull", FOUND)
    node.reply = reply
    (finding,) = findings(explain(run, "--node", node.url, "-o", "json"))
    assert words in finding
    assert finding.startswith(node.host)
    assert len(node.received) == 1


def test_a_node_that_is_gone_is_a_step(run, api, node):
    """The others are told of all the same, in the order in which they were named."""
    api.answer("ExplainPull", FOUND)
    node.reply = told("stored")
    gone = f"127.0.0.1:{free_ports(1)[0]}"
    first, second = findings(explain(run, "--node", f"http://{gone}", "--node", node.url, "-o", "json"))
    assert first.startswith(f"{gone}: It does not say: ")
    assert "1 stored" in second


@pytest.mark.parametrize("url", ["node-1", "ftp://x", "http://x/path", "http://u:p@x", "http://x:y", ""])
def test_what_is_no_node_is_refused(run, api, url):
    """Before anything is sent anywhere."""
    api.answer("ExplainPull", FOUND)
    result = explain(run, "--node", url)
    assert result.code == 2
    assert "node-1.internal:8083" in result.err
    assert api.calls == []


def test_a_token_does_not_leave_the_machine_in_clear(run, api, monkeypatch):
    """Before anything is sent anywhere; who insists may, and then sees that there is no such node."""
    api.answer("ExplainPull", FOUND)
    result = explain(run, "--node", "http://node-1.invalid:8083")
    assert result.code == 2
    assert "in clear to http://node-1.invalid:8083" in result.err
    assert "PENSTOCK_ALLOW_CLEARTEXT=true" in result.err
    assert api.calls == []
    monkeypatch.setenv("PENSTOCK_ALLOW_CLEARTEXT", "true")
    (finding,) = findings(explain(run, "--node", "http://node-1.invalid:8083", "-o", "json"))
    assert finding.startswith("node-1.invalid:8083: It does not say: ")


def test_a_node_by_https(run, api, monkeypatch, tmp_path):
    """It is verified with what the control plane would be; whom that does not vouch for gets nothing."""
    api.answer("ExplainPull", FOUND)
    authority = Authority()
    pair = authority.issue(tmp_path / "served", "127.0.0.1")
    with Endpoint(ssl_context=pair.server_context()) as node:
        node.reply = told("stored")
        # The control plane here speaks no TLS, for which PENSTOCK_CA_FILE may not be set.
        monkeypatch.setenv("SSL_CERT_FILE", str(Authority("Others").write(tmp_path / "others")))
        (finding,) = findings(explain(run, "--node", node.url, "-o", "json"))
        assert "It does not say" in finding
        assert not node.received
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.write(tmp_path / "trusted")))
        (finding,) = findings(explain(run, "--node", node.url, "-o", "json"))
        assert "1 stored" in finding


@pytest.mark.parametrize("registry", ["127.0.0.1:8080", "registry.example.com:443", "localhost"])
def test_a_reference_with_the_registry(run, api, registry):
    """As it stands in a pull's error message: the sentence says what to leave out."""
    result = run("explain", "--token-id", "t", f"{registry}/acme/app:1.2.3")
    assert result.code == 2
    assert "acme/app:1.2.3" in result.err
    assert "without" in result.err
    assert not api.calls
