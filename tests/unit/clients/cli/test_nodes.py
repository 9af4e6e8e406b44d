"""`penstock nodes`."""

import json

from google.protobuf.empty_pb2 import Empty

from penstock.v1.node_pb2 import CreateNodeResponse, ListNodesResponse, Node

NODE = Node(name="nodes/eu-1", revision=42, version="0.1.0")


def test_the_token_stands_alone(run, api):
    """Standard output is the node's token and nothing else; an object in JSON."""
    api.answer("CreateNode", CreateNodeResponse(node=NODE, secret="psn_x"))
    assert run("nodes", "create", "eu-1").out == "psn_x\n"
    assert api.requests("CreateNode")[0].node_id == "eu-1"
    assert json.loads(run("nodes", "create", "eu-1", "-o", "json").out)["secret"] == "psn_x"


def test_list_and_get(run, api):
    """What a node runs; `-` where it was never seen."""
    api.answer("ListNodes", ListNodesResponse(nodes=[NODE]))
    assert run("nodes", "list").out.splitlines()[1].split() == ["eu-1", "-", "42", "0.1.0", "-", "-"]
    api.answer("GetNode", NODE)
    assert "42" in run("nodes", "get", "eu-1").out


def test_what_a_node_is_too_old_for(run, api):
    """How much of the configuration it passed over stands in the list, with the node also what."""
    old = Node(name="nodes/eu-1", revision=42, passed_over_count=3, passed_over="The rule is new.")
    api.answer("ListNodes", ListNodesResponse(nodes=[old]))
    assert run("nodes", "list").out.splitlines()[1].split()[-1] == "3"
    api.answer("GetNode", old)
    lines = [line.split(maxsplit=3) for line in run("nodes", "get", "eu-1").out.splitlines()]
    assert ["last", "passed", "over", "The rule is new."] in lines


def test_delete(run, api):
    """By its id."""
    api.answer("DeleteNode", Empty())
    assert run("nodes", "delete", "eu-1").code == 0
    assert api.requests("DeleteNode")[0].name == "nodes/eu-1"
