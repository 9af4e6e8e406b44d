"""Characters that come in on a command line, or go out where not all are taken."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clients.cli.output import Format, show_rows
from penstock.v1.customer_pb2 import Customer, ListCustomersResponse

ZOE = Customer(name="organizations/acme/customers/zoe", display_name="Zo\u00eb \u6771\u4eac \U0001f600")


@contextmanager
def narrow() -> Iterator[Callable[[], str]]:
    """A standard output that takes one byte a character, as in an old locale; gives what came out."""
    output = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", write_through=True)
    usual, sys.stdout = sys.stdout, output
    try:
        yield lambda: output.buffer.getvalue().decode("latin-1")
    finally:
        sys.stdout = usual


def test_a_table_where_characters_are_missing(run, api):
    """Those that there are stay, others are escaped, and the command does what it was to do."""
    api.answer("ListCustomers", ListCustomersResponse(customers=[ZOE]))
    with narrow() as written:
        assert run("customers", "list", "acme").code == 0
    assert "Zo\u00eb \\u6771\\u4eac \\U0001f600" in written()


def test_json_where_characters_are_missing(run, api):
    """The document is whole: what cannot be written is escaped as JSON has it."""
    api.answer("ListCustomers", ListCustomersResponse(customers=[ZOE]))
    with narrow() as written:
        assert run("customers", "list", "acme", "-o", "json").code == 0
    (customer,) = json.loads(written())
    assert customer["display_name"] == ZOE.display_name


def test_rows_where_characters_are_missing():
    """Of values that are no messages as well."""
    with narrow() as written:
        show_rows([{"note": ZOE.display_name}], (), lambda _: (), Format.JSON)
    assert json.loads(written()) == [{"note": ZOE.display_name}]


def test_an_argument_that_is_no_text(run, api):
    """As a file name of another encoding would be; it is wrong usage, and nothing is asked."""
    result = run("customers", "create", "acme/globex", "--display-name", "caf\udce9")
    assert result.code == 2
    assert "UTF-8" in result.err
    assert not api.calls
