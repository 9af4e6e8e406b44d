"""REST requests to messages."""

import json
from typing import Any

import pytest

from controlplane.api.errors import ApiError
from controlplane.web.rest.binding import Binding, bindings
from penstock.v1 import artifact_pb2, audit_pb2, credential_pb2, user_pb2


def _binding(module: Any, service: str, method: str, index: int = 0) -> Binding:
    return list(bindings(module.DESCRIPTOR.services_by_name[service].methods_by_name[method]))[index]


LIST = _binding(user_pb2, "UserService", "ListUsers")
UPDATE = _binding(user_pb2, "UserService", "UpdateUser")
CREATE = _binding(credential_pb2, "CredentialService", "CreateCredential")
SYNC = _binding(artifact_pb2, "ArtifactService", "SyncArtifact")
AUDIT = _binding(audit_pb2, "AuditService", "ListAuditEntries")


def _refused(binding: Binding, query: dict[str, list[str]], body: bytes = b"") -> ApiError:
    with pytest.raises(ApiError) as caught:
        binding.request({}, query, body)
    return caught.value


def test_queries_set_fields_in_either_spelling() -> None:
    """Numbers, texts and times are read as JSON has them."""
    for name in ("page_size", "pageSize"):
        request = LIST.request({"parent": "organizations/acme"}, {name: ["7"]}, b"")
        assert request == user_pb2.ListUsersRequest(parent="organizations/acme", page_size=7)
    request = AUDIT.request({}, {"startTime": ["2026-01-02T03:04:05Z"], "email": [""]}, b"")
    assert request.start_time.seconds == 1767323045  # type: ignore[attr-defined]


def test_a_body_is_a_field_and_the_query_the_rest() -> None:
    """PATCH has the resource as its body, its name in the path, and the mask and flags in the query."""
    body = json.dumps({"displayName": "CI", "role": "ROLE_ADMIN", "name": "organizations/other/users/x"})
    request = UPDATE.request(
        {"user.name": "organizations/acme/users/u"},
        {"updateMask": ["displayName,role"], "validate_only": ["true"]},
        body.encode(),
    )
    assert request == user_pb2.UpdateUserRequest(
        user=user_pb2.User(name="organizations/acme/users/u", display_name="CI", role=user_pb2.ROLE_ADMIN),
        update_mask={"paths": ["display_name", "role"]},
        validate_only=True,
    )


def test_a_whole_body() -> None:
    """`body: "*"` takes all of the request; none at all is an empty one; the path still decides the name."""
    name = {"name": "organizations/acme/artifacts/redis"}
    assert SYNC.request(name, {}, b"") == artifact_pb2.SyncArtifactRequest(**name)
    request = SYNC.request(name, {}, b'{"name": "organizations/x/artifacts/y", "forceRemovals": true}')
    assert request == artifact_pb2.SyncArtifactRequest(**name, force_removals=True)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"nonsense": ["1"]}, "nonsense"),
        ({"page_size": ["x"]}, "page_size"),
        ({"page_size": ["1", "2"]}, "page_size"),
        ({"parent": ["organizations/other"]}, "parent"),
        ({"page_size.x": ["1"]}, "page_size.x"),
    ],
)
def test_wrong_parameters_are_named(query: dict[str, list[str]], field: str) -> None:
    """A parameter that does not exist or cannot be read is an error that names it."""
    with pytest.raises(ApiError) as caught:
        LIST.request({"parent": "organizations/acme"}, query, b"")
    assert [violation.field for violation in caught.value.violations] == [field]


def test_a_message_is_no_parameter() -> None:
    """What the body is for is not taken from the query, nor is a whole message."""
    assert _refused(UPDATE, {"user.role": ["ROLE_ADMIN"]}).violations[0].field == "user.role"
    assert _refused(CREATE, {"credential": ["x"]}).violations[0].field == "credential"


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"nonsense": 1}', b'"x"', b"\xff", b'{"basic": 1}'])
def test_a_wrong_body(body: bytes) -> None:
    """It is an error of the field that the body is."""
    assert _refused(CREATE, {}, body).violations[0].field == "credential"


@pytest.mark.parametrize("role", [b"1e999", b'"\\ud800"'])
def test_an_enum_that_is_no_number_and_no_text(role: bytes) -> None:
    """What JSON can write and protobuf cannot read is the caller's mistake."""
    assert _refused(UPDATE, {}, b'{"role": %b}' % role).violations[0].field == "user"


def test_every_rule_can_be_served() -> None:
    """No method has an annotation that REST does not know."""
    rules = [
        rule
        for module in (artifact_pb2, audit_pb2, credential_pb2, user_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        for rule in bindings(method)
    ]
    assert len(rules) > 30
    assert {rule.verb for rule in rules} == {"GET", "POST", "PATCH", "DELETE"}
