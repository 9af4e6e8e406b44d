"""`penstock audit` and `penstock sign-ins`."""

import json

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from penstock.v1 import audit_pb2 as pb

ENTRY = pb.AuditEntry(
    time=Timestamp(seconds=1_900_000_000),
    email="ann@example.com",
    address="192.0.2.1",
    method="SyncArtifacts",
    resource="organizations/acme",
)
ENTRY.outcome.update({"sync_jobs": 500, "finished": True, "note": "caf\u00e9"})


def test_list(run, api):
    """A line for each change: when, who, from where, what, and what came of it."""
    api.answer("ListAuditEntries", pb.ListAuditEntriesResponse(audit_entries=[ENTRY]))
    (line,) = run("audit", "list", "acme").out.splitlines()[1:]
    assert line.split()[:5] == [
        "2030-03-17T17:46:40Z",
        "ann@example.com",
        "192.0.2.1",
        "SyncArtifacts",
        "organizations/acme",
    ]
    assert line.endswith('finished: true, note: "caf\u00e9", sync_jobs: 500')


def test_filters(run, api):
    """Who, what and when are asked of the API; times are as for pulls."""
    api.answer("ListAuditEntries", pb.ListAuditEntriesResponse())
    done = run(
        *("audit", "list", "acme", "--email", "ann@example.com", "--method", "DeleteToken"),
        *("--from", "2030-01-01", "--to", "2030-02-01T00:00:00+01:00", "-o", "json"),
    )
    assert json.loads(done.out) == []
    (request,) = api.requests("ListAuditEntries")
    assert (request.parent, request.email, request.method) == (
        "organizations/acme",
        "ann@example.com",
        "DeleteToken",
    )
    assert request.start_time.ToJsonString() == "2030-01-01T00:00:00Z"
    assert request.end_time.ToJsonString() == "2030-01-31T23:00:00Z"
    assert run("audit", "list", "acme", "--from", "yesterday").code == 2


@pytest.mark.parametrize(
    ("command", "method", "entries"),
    [
        ("audit", "ListAuditEntries", [pb.ListAuditEntriesResponse(audit_entries=[ENTRY] * 60)]),
        (
            "sign-ins",
            "ListRefusedSignIns",
            [pb.ListRefusedSignInsResponse(refused_sign_ins=[pb.RefusedSignIn(count=1)] * 60)],
        ),
    ],
)
def test_a_hundred_or_all(run, api, command, method, entries):
    """What an auditor takes away must be all of it, which 0 says; a look shows a hundred."""
    (page,) = entries
    page.next_page_token = "more"
    last = type(page)()
    last.CopyFrom(page)
    last.next_page_token = ""
    for limit, count in (((), 100), (("--limit", "0"), 120)):
        api.answer(method, page, last)
        assert len(json.loads(run(command, "list", "acme", *limit, "-o", "json").out)) == count
