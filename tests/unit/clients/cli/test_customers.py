"""`penstock customers`."""

import json

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from penstock.v1.customer_pb2 import Customer, ListCustomersResponse
from tests.fakes.scripted_api import Refusal

GLOBEX = Customer(name="organizations/acme/customers/globex", display_name="Globex Corp.", uid="u1")


def test_create(run, api):
    """The id is the last part of what is written, the rest says whose customer it is."""
    api.answer("CreateCustomer", GLOBEX)
    assert run("customers", "create", "acme/globex", "--display-name", "Globex Corp.").code == 0
    (request,) = api.requests("CreateCustomer")
    assert (request.parent, request.customer_id) == ("organizations/acme", "globex")
    assert request.customer.display_name == "Globex Corp."


def test_list_and_get(run, api):
    """In words of people, and in JSON with its whole name."""
    api.answer("ListCustomers", ListCustomersResponse(customers=[GLOBEX]))
    (line,) = run("customers", "list", "acme").out.splitlines()[1:]
    assert line.split()[:3] == ["globex", "Globex", "Corp."]
    api.answer("GetCustomer", GLOBEX)
    assert json.loads(run("customers", "get", "acme/globex", "-o", "json").out)["name"] == GLOBEX.name


def test_update_changes_the_name_for_people_alone(run, api):
    """Also to none; what an option does not name is not in the mask."""
    api.answer("UpdateCustomer", GLOBEX)
    assert run("customers", "update", "acme/globex", "--display-name", "").code == 0
    (request,) = api.requests("UpdateCustomer")
    assert request.customer == Customer(name=GLOBEX.name)
    assert list(request.update_mask.paths) == ["display_name"]


@pytest.mark.parametrize("force", [False, True])
def test_delete(run, api, force):
    """What belongs to it goes only where that is meant."""
    api.answer("DeleteCustomer", Empty())
    options = ["--force"] if force else []
    done = run("customers", "delete", GLOBEX.name, *options)
    assert (done.code, done.out) == (0, f"Deleted {GLOBEX.name}.\n")
    (request,) = api.requests("DeleteCustomer")
    assert (request.name, request.force) == (GLOBEX.name, force)
    assert json.loads(run("customers", "delete", "acme/globex", *options, "-o", "json").out) == {}


def test_delete_of_one_with_users(run, api):
    """It is refused, and nothing on standard output looks as if it were done."""
    api.answer("DeleteCustomer", Refusal(grpc.StatusCode.FAILED_PRECONDITION, "It has users.", "NOT_EMPTY"))
    done = run("customers", "delete", "acme/globex", "-o", "json")
    assert (done.code, done.out) == (1, "")
    assert "It has users." in done.err


@pytest.mark.parametrize("name", ["globex", "acme/", "acme/globex/x", "organizations/acme/users/globex"])
def test_a_name_has_an_organization(run, api, name):
    """The sentence shows a good one, and nothing is deleted."""
    done = run("customers", "delete", name)
    assert done.code == 2
    assert "acme/globex" in done.err
    assert not api.calls
