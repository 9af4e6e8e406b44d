"""Keys of Google's service accounts work however they were pasted or piped, or are refused in words."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.credential_messages import new_content
from controlplane.api.errors import ApiError
from controlplane.api.google_key import read_google_key
from controlplane.api.validation import Violations
from penstock.v1 import credential_pb2 as pb

PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIB+/=\n-----END PRIVATE KEY-----\n"
KEY = {"type": "service_account", "project_id": "acme", "private_key": PEM, "client_email": "é@acme.example"}
FILE = json.dumps(KEY, indent=2)


def _basic(username: str, password: str) -> Any:
    with Violations() as violations:
        given = pb.Credential(basic=pb.BasicCredential(username=username, password=password))
        return new_content(given, violations, allow_private=False)


@pytest.mark.parametrize(
    "text",
    [
        FILE,
        f"{FILE}\n",
        FILE.replace("\n", "\r\n") + "\r\n",
        f"\ufeff{FILE}\n\n",
        f"  {json.dumps(KEY)}\t",
        json.dumps(KEY, ensure_ascii=False),
        # A shell that expanded them, and a template that escaped them.
        FILE.replace("\\n", "\n"),
        FILE.replace("\\n", "\r\n"),
        FILE.replace("\\n", "\\\\n"),
    ],
)
def test_a_key_works_as_it_comes(text: str) -> None:
    """What is sent is the same key, on one line."""
    password = _basic("_json_key", text).password
    assert json.loads(password) == KEY
    assert password.isprintable()


@pytest.mark.parametrize("text", [base64.b64encode(FILE.encode()), base64.encodebytes(FILE.encode())])
def test_base64_of_a_key_works_in_lines_as_well(text: bytes) -> None:
    """As `base64 key.json` writes them."""
    password = _basic("_json_key_base64", text.decode()).password
    assert json.loads(base64.b64decode(password, validate=True)) == KEY
    assert password.isprintable()


@pytest.mark.parametrize(
    ("username", "text", "words"),
    [
        ("_json_key", "{", "not all of it"),
        ("_json_key", FILE[:-10], "not all of it"),
        ("_json_key", FILE.replace('"', "'"), "no JSON"),
        ("_json_key", FILE.replace("\n", "\\n"), "no JSON"),
        ("_json_key", "key.json", "no JSON"),
        ("_json_key", "[" * 16_000, "no JSON"),
        ("_json_key", base64.b64encode(FILE.encode()).decode(), "_json_key_base64"),
        ("_json_key", json.dumps({"type": "authorized_user"}), "service_account"),
        ("_json_key", json.dumps({"type": "service_account"}), "no private_key"),
        ("_json_key", "", "1 to 16384"),
        ("_json_key_base64", FILE, "no base64"),
        ("_json_key_base64", base64.b64encode(b"\xff").decode(), "no base64"),
        ("_json_key_base64", base64.b64encode(b"{}").decode(), "service_account"),
        ("alice", "correct horse\n", "line break"),
        ("alice", "correct\nhorse", "control character"),
    ],
)
def test_what_is_none_is_refused_with_what_is_wrong(username: str, text: str, words: str) -> None:
    """The sentence names the field, and has nothing of the key in it."""
    with pytest.raises(ApiError) as caught:
        _basic(username, text)
    assert [item.field for item in caught.value.violations] == ["credential.basic.password"]
    assert words in str(caught.value)
    assert "MIIE" not in str(caught.value)


@given(st.sampled_from(["_json_key", "_json_key_base64"]), st.text(max_size=60))
def test_any_text_is_a_key_or_refused(username: str, text: str) -> None:
    """Nothing else comes of what somebody pastes."""
    with pytest.raises(ValueError, match="service account"):
        read_google_key(username, text)
