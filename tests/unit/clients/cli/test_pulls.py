"""`penstock pulls`."""

import json
import os

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from penstock.v1 import pull_pb2 as pb
from tests.fakes.scripted_api import Refusal

PULL = pb.Pull(
    id="0" * 32,
    time=Timestamp(seconds=1_900_000_000),
    kind=pb.PullEvent.PULL,
    artifact="organizations/acme/artifacts/team~app",
    customer="organizations/acme/customers/globex",
    user="hank@example.com",
    tag="1.0",
    platform="linux/amd64",
    address="192.0.2.1",
    client="docker/20.10 go/1.18",
    bytes_sent=7,
    bytes_redirected=900,
    cold_blobs=1,
)
SUM = pb.PullSum(start_time=Timestamp(seconds=1_900_000_000), tag="1.0", pulls=3, checks=1, distinct_users=2)


def test_list(run, api):
    """A line for each, in words of people; an array in JSON."""
    api.answer("ListPulls", pb.ListPullsResponse(pulls=[PULL]))
    found = run("pulls", "list", "acme").out.splitlines()[1].split()
    assert found == [
        "2030-03-17T17:46:40Z",
        "pull",
        "team/app",
        "1.0",
        "linux/amd64",
        "globex",
        "hank@example.com",
        "192.0.2.1",
        "docker/20.10",
        "7",
        "900",
        "cold",
    ]
    (pull,) = json.loads(run("pulls", "list", "acme", "--output", "json").out)
    assert (pull["tag"], pull["bytes_sent"]) == ("1.0", "7")
    assert not api.requests("ListPulls")[0].HasField("filter") or not api.requests("ListPulls")[0].filter.tag


def test_filters_are_names_of_the_api(run, api):
    """Short names become whole ones, and times may be so long ago."""
    api.answer("ListPulls", pb.ListPullsResponse())
    done = run(
        *("pulls", "list", "acme", "--artifact", "team/app", "--customer", "globex", "--user", "a@x.com"),
        *("--from", "2030-01-01", "--to", "1h", "--tag", "1", "--versions", "1.x", "--kind", "check"),
        *(
            "--temperature",
            "cold",
            "--client",
            "docker/*",
            "--address",
            "::1",
            "--digest",
            "d",
            "--token",
            "t",
        ),
    )
    assert done.code == 0, done.err
    (request,) = api.requests("ListPulls")
    assert request.filter.end_time.seconds > 0
    request.filter.ClearField("end_time")
    assert request.filter == pb.PullFilter(
        artifact="organizations/acme/artifacts/team~app",
        customer="organizations/acme/customers/globex",
        user="organizations/acme/users/a@x.com",
        start_time=Timestamp(seconds=1_893_456_000),
        tag="1",
        version_range="1.x",
        kind=pb.PullEvent.CHECK,
        temperature=pb.COLD,
        client="docker/*",
        address="::1",
        digest="d",
        token_uid="t",
    )


@pytest.mark.parametrize(
    ("artifact", "customer"),
    [
        ("team/app", "globex"),
        ("acme/team/app", "acme/globex"),
        ("organizations/acme/artifacts/team~app", "organizations/acme/customers/globex"),
    ],
)
def test_names_in_filters_may_be_short_or_whole(run, api, artifact, customer):
    """However an artifact and a customer are written elsewhere."""
    api.answer("ListPulls", pb.ListPullsResponse())
    assert run("pulls", "list", "acme", "--artifact", artifact, "--customer", customer).code == 0
    (request,) = api.requests("ListPulls")
    assert request.filter.artifact == "organizations/acme/artifacts/team~app"
    assert request.filter.customer == "organizations/acme/customers/globex"


def test_a_customer_of_another_organization_is_no_filter(run, api):
    """Not taken for the one of the same id in this organization, whose pulls would be shown."""
    done = run("pulls", "list", "acme", "--customer", "initech/globex")
    assert done.code == 2
    assert not api.calls


@pytest.mark.parametrize("text", ["yesterday", "7", "2030-13-01", "0001-01-01T00:00:00+14:00", "999999999d"])
def test_a_time_that_is_none(run, api, text):
    """The sentence shows how to write one, and nothing is asked."""
    done = run("pulls", "list", "acme", "--from", text)
    assert done.code == 2
    assert "--from" in done.err
    assert not api.calls


def test_a_limit_ends_the_list(run, api):
    """No further page is asked for."""
    api.answer("ListPulls", pb.ListPullsResponse(pulls=[PULL] * 2, next_page_token="more"))
    assert len(json.loads(run("pulls", "list", "acme", "--limit", "2", "-o", "json").out)) == 2
    assert len(api.calls) == 1
    assert api.requests("ListPulls")[0].page_size == 2


def test_top_and_sum(run, api):
    """What is told apart is a column; so are the period, and users and customers where they are counted."""
    api.answer("SumPulls", pb.SumPullsResponse(sums=[SUM]))
    lines = run("pulls", "top", "acme", "--by", "version", "--distinct").out.splitlines()
    header = ["VERSION", "PULLS", "COLD", "CHECKS", "BYTES", "REDIRECTED", "LAST", "USERS", "CUSTOMERS"]
    assert lines[0].split() == header
    assert lines[1].split() == ["1.0", "3", "0", "1", "0", "0", "-", "2", "0"]
    lines = run("pulls", "sum", "acme", "--per", "day").out.splitlines()
    assert lines[0].split()[0] == "DAY"
    top, total = api.requests("SumPulls")
    assert list(top.group_by) == [pb.SumPullsRequest.TAG]
    assert (total.period, list(total.group_by)) == (pb.SumPullsRequest.DAY, [])


def test_versions(run, api):
    """Who is still on which."""
    holder = pb.VersionHolder(customer="organizations/acme/customers/globex", tag="1.1.0")
    api.answer("ListVersionHolders", pb.ListVersionHoldersResponse(version_holders=[holder]))
    assert run("pulls", "versions", "acme/app", "--range", "1.1.x").out.splitlines()[1].split()[:2] == [
        "globex",
        "1.1.0",
    ]
    assert api.requests("ListVersionHolders")[0].version_range == "1.1.x"


def test_export_to_a_file(run, api, tmp_path):
    """The pieces one after the other, under the name when all is there."""
    api.answer(
        "ExportPulls",
        [pb.ExportPullsResponse(total=2), *(pb.ExportPullsResponse(content=b"line\n", pulls=1),) * 2],
    )
    assert "2 pulls" in run("pulls", "export", "acme", "--file", "pulls.csv").out
    assert (tmp_path / "pulls.csv").read_text() == "line\nline\n"
    assert api.requests("ExportPulls")[0].format == pb.ExportPullsRequest.CSV


def test_an_export_is_no_json_document(run, api):
    """Who asks for JSON does not get CSV; JSON Lines, or a report of what was written, must be meant."""
    api.answer("ExportPulls", [pb.ExportPullsResponse(content=b"line\n", pulls=1, total=1)])
    refused = run("pulls", "export", "acme", "--output", "json")
    assert (refused.code, refused.out) == (2, "")
    assert "--format jsonl" in refused.err
    assert not api.calls
    written = run("pulls", "export", "acme", "--output", "json", "--file", "pulls.csv")
    assert json.loads(written.out) == {"file": "pulls.csv", "pulls": 1}


def test_an_export_into_what_is_no_file_leaves_it_there(run, api, tmp_path):
    """A pipe or a device, as /dev/stdout is, is written into and not replaced by a file."""
    api.answer("ExportPulls", [pb.ExportPullsResponse(content=b"line\n", pulls=1, total=1)])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run("pulls", "export", "acme", "--file", "pipe").code == 0
        assert pipe.is_fifo()
        assert os.read(reader, 100) == b"line\n"
    finally:
        os.close(reader)
    assert list(tmp_path.iterdir()) == [pipe]


def test_an_export_through_a_link(run, api, tmp_path):
    """What it names is replaced, and not the link."""
    api.answer("ExportPulls", [pb.ExportPullsResponse(content=b"line\n", pulls=1, total=1)])
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "pulls.csv"
    link.symlink_to(tmp_path / "elsewhere" / "today.csv")
    assert run("pulls", "export", "acme", "--file", "pulls.csv").code == 0
    assert link.is_symlink()
    assert link.read_text() == "line\n"
    assert len(list(tmp_path.iterdir())) == 2


def test_an_export_that_breaks_leaves_no_file(run, api, tmp_path):
    """Half a month must not look like one."""
    api.answer(
        "ExportPulls",
        [
            pb.ExportPullsResponse(content=b"line\n", pulls=1, total=2),
            Refusal(grpc.StatusCode.UNAVAILABLE, "The database does not answer."),
        ],
    )
    done = run("pulls", "export", "acme", "--format", "jsonl", "--file", "pulls.jsonl")
    assert done.code == 69
    assert list(tmp_path.iterdir()) == []
