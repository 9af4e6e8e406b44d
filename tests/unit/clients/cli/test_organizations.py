"""`penstock organizations`."""

import json

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from penstock.v1.organization_pb2 import ListOrganizationsResponse, Organization
from tests.fakes.scripted_api import Refusal

ACME = Organization(name="organizations/acme", uid="u1", display_name="Acme", etag="e1")
ACME.create_time.FromJsonString("2026-11-23T13:09:12.5Z")


def test_create_shows_what_was_created(run, api):
    """The id and the display name reach the API, and the answer is shown."""
    api.answer("CreateOrganization", ACME)
    result = run("organizations", "create", "acme", "--display-name", "Acme")
    assert result.code == 0
    assert "acme" in result.out
    assert "2026-11-23T13:09:12Z" in result.out
    (request,) = api.requests("CreateOrganization")
    assert request.organization_id == "acme"
    assert request.organization.display_name == "Acme"


def test_calls_carry_the_token(run, api, monkeypatch):
    """The token travels as a Bearer."""
    api.answer("CreateOrganization", ACME)
    run("organizations", "create", "acme")
    authorization = api.calls[0].metadata["authorization"]
    assert isinstance(authorization, str)
    assert authorization.startswith("Bearer pst_")


def test_json_has_the_names_of_the_proto_files(run, api):
    """Keys are snake_case, and fields that are empty are there all the same."""
    api.answer("GetOrganization", Organization(name="organizations/acme"))
    result = run("organizations", "get", "acme", "--output", "json")
    assert json.loads(result.out) == {
        "name": "organizations/acme",
        "uid": "",
        "display_name": "",
        "customer_access": "CUSTOMER_ACCESS_UNSPECIFIED",
        "etag": "",
    }


def test_output_is_taken_at_any_place(run, api):
    """Before the noun, after it, and after the verb; the last one counts."""
    api.answer("GetOrganization", ACME)
    expected = run("organizations", "get", "acme", "-o", "json").out
    assert json.loads(expected)["name"] == "organizations/acme"
    assert run("--output", "json", "organizations", "get", "acme").out == expected
    assert run("organizations", "--output", "json", "get", "acme").out == expected
    assert run("organizations", "get", "--output", "json", "acme").out == expected
    assert run("-o", "json", "organizations", "get", "acme", "-o", "table").out != expected


def test_list_goes_through_all_pages(run, api):
    """A list is whole, however many pages it has."""
    api.answer(
        "ListOrganizations",
        ListOrganizationsResponse(organizations=[ACME], next_page_token="2"),
        ListOrganizationsResponse(organizations=[Organization(name="organizations/globex")]),
    )
    result = run("organizations", "list")
    assert [line.split()[0] for line in result.out.splitlines()] == ["ORGANIZATION", "acme", "globex"]
    assert [request.page_token for request in api.requests("ListOrganizations")] == ["", "2"]


def test_list_as_json_is_an_array(run, api):
    """An array of objects, also when there is nothing to list."""
    api.answer("ListOrganizations", ListOrganizationsResponse(organizations=[ACME, ACME]))
    assert [entry["uid"] for entry in json.loads(run("-o", "json", "organizations", "list").out)] == [
        "u1",
        "u1",
    ]
    api.answer("ListOrganizations", ListOrganizationsResponse())
    assert json.loads(run("-o", "json", "organizations", "list").out) == []


def test_rows_are_not_wrapped_in_a_pipe(run, api):
    """Each organization is on one line, without spaces at its end, however long its name is."""
    long = Organization(name="organizations/acme", display_name="word " * 60)
    api.answer("ListOrganizations", ListOrganizationsResponse(organizations=[long]))
    lines = run("organizations", "list").out.splitlines()
    assert len(lines) == 2
    assert "word word" in lines[1]
    assert lines[1] == lines[1].rstrip()


def test_values_cannot_command_the_terminal(run, api):
    """Markup and escape sequences in a value are printed as text or not at all."""
    api.answer(
        "GetOrganization", Organization(name="organizations/acme", display_name="[red]x[/red]\x1b[31m")
    )
    out = run("organizations", "get", "acme").out
    assert "[red]x[/red]" in out
    assert "\x1b" not in out


def test_update_names_what_changes(run, api):
    """Only the display name is in the mask, also when it becomes empty."""
    api.answer("UpdateOrganization", ACME)
    assert run("organizations", "update", "acme", "--display-name", "").code == 0
    (request,) = api.requests("UpdateOrganization")
    assert list(request.update_mask.paths) == ["display_name"]
    assert request.organization.name == "organizations/acme"


def test_delete(run, api):
    """Says what is gone; an empty object in JSON."""
    api.answer("DeleteOrganization", Empty())
    assert run("organizations", "delete", "acme").out == "Deleted organizations/acme.\n"
    assert json.loads(run("organizations", "delete", "acme", "--force", "-o", "json").out) == {}
    assert [request.force for request in api.requests("DeleteOrganization")] == [False, True]


@pytest.mark.parametrize(
    "arguments",
    [
        ("organizations", "delete", "acme", "--force"),
        ("artifacts", "delete", "acme/app"),
        ("artifacts", "update", "acme/app", "--upstream", "example.com/other"),
    ],
    ids=["organization", "artifact", "move"],
)
def test_what_drops_much_is_waited_for(run, api, arguments):
    """Thousands of artifacts take minutes, and a deletion that is given up is made up for by syncs."""
    run(*arguments)
    assert api.calls[-1].patience > 600


def test_a_refusal_is_one_sentence(run, api):
    """On standard error, with nothing on standard output."""
    api.answer(
        "CreateOrganization",
        Refusal(grpc.StatusCode.ALREADY_EXISTS, "There is an organization acme.", "ORGANIZATION_EXISTS"),
    )
    result = run("organizations", "create", "acme")
    assert (result.code, result.out, result.err) == (1, "", "penstock: There is an organization acme.\n")


def test_a_slash_in_an_id_is_refused_at_once(run, api):
    """With an example, and without asking the server."""
    result = run("organizations", "get", "acme/redis")
    assert result.code == 2
    assert "like acme" in result.err
    assert not api.calls
