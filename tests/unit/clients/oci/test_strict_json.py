"""JSON that could be read in two ways is refused."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci.strict_json import InvalidJson, check_spelling, read_object

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{\x00}\x00", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"1", "not a JSON object"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'{"x": [{"a": 1, "\\u0061": 2}]}', "twice"),
        (b'{"a": NaN}', "number"),
        (b'{"a": -Infinity}', "number"),
        (b'{"a": ' * 40 + b"1" + b"}" * 40, "deeply"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deeply"),
        (b'{"a": [' + b"{}," * 100_000 + b"{}]}", "more parts"),
        (b'{"a": [' + b"[]," * 100_000 + b"[]]}", "more parts"),
        (b'{"a": [' + b"0," * 1_100_000 + b"0]}", "more parts"),
    ],
)
def test_ambiguous_documents_are_refused(content: bytes, problem: str) -> None:
    """Each with what is wrong with it."""
    with pytest.raises(InvalidJson, match=problem):
        read_object(content)


@given(st.dictionaries(st.text(), DOCUMENTS, max_size=5))
def test_plain_documents_are_read(document: dict[str, object]) -> None:
    """What a writer of JSON makes is read back."""
    assert read_object(json.dumps(document).encode()) == document


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """Nothing but InvalidJson comes of bytes from outside."""
    with contextlib.suppress(InvalidJson):
        read_object(content)


@pytest.mark.parametrize("name", ["Layers", "LAYERS", "layer\u017f", "MediaType"])
def test_known_fields_in_another_case_are_refused(name: str) -> None:
    """A reader that ignores case, as Go's does, must not see more than we do."""
    known = frozenset({"layers", "mediaType"})
    with pytest.raises(InvalidJson, match="case"):
        check_spelling({name: 1}, known)


def test_as_much_as_a_registry_may_have_is_read() -> None:
    """A page of tags and an index that are as large as they may be, of names that are short."""
    tags = [f"{number:x}" for number in range(480_000)]
    assert read_object(json.dumps({"tags": tags}).encode())["tags"] == tags
    child = {
        "mediaType": "a/b",
        "digest": f"sha256:{'0' * 64}",
        "size": 1,
        "platform": {"os": "", "architecture": ""},
    }
    index = json.dumps({"manifests": [child] * (4 * 1024 * 1024 // len(json.dumps(child)))}).encode()
    assert len(read_object(index)["manifests"]) > 20_000


def test_unknown_fields_are_left_alone() -> None:
    """A field of a later specification is none of our business."""
    check_spelling({"layers": 1, "x": 2, "X": 3}, frozenset({"layers"}))
