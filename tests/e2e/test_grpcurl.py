"""The gRPC API explains itself: grpcurl works without any .proto file, error details included."""

import json
from typing import Any

import pytest

from tests.servers.go_clients import Grpcurl
from tests.servers.penstock import Organization

pytestmark = pytest.mark.real

SERVICES = ["OrganizationService", "UserService", "ArtifactService", "NodeService"]


def failure(grpcurl: Grpcurl, method: str, request: dict[str, Any]) -> tuple[str, dict[str, dict[str, Any]]]:
    """The code of a call that must fail, and its details by the name of their message."""
    finished = grpcurl(method, data=json.dumps(request), ok=False)
    assert finished.code != 0
    status = json.loads(finished.err)
    details = {detail["@type"].rpartition(".")[2]: detail for detail in status["details"]}
    return status["code"], details


def test_list(grpcurl: Grpcurl) -> None:
    """Every service is there, health and reflection as well."""
    services = grpcurl("list").out.split()
    assert {f"penstock.v1.{name}" for name in SERVICES} <= set(services)
    assert "grpc.health.v1.Health" in services
    assert any(name.startswith("grpc.reflection.") for name in services)


@pytest.mark.parametrize("service", SERVICES)
def test_describe(grpcurl: Grpcurl, service: str) -> None:
    """A service describes its methods, and the messages that they take."""
    text = grpcurl("describe", f"penstock.v1.{service}").out
    assert f"service {service}" in text
    assert "rpc Get" in text
    first = text.partition("rpc ")[2].partition("( .")[2].partition(" )")[0]
    assert "message" in grpcurl("describe", first).out


def test_health(grpcurl: Grpcurl) -> None:
    """The standard health check answers."""
    assert json.loads(grpcurl("grpc.health.v1.Health/Check").out) == {"status": "SERVING"}


def test_call(grpcurl: Grpcurl, organization: Organization) -> None:
    """A call in JSON gives an answer in JSON."""
    request = json.dumps({"name": f"organizations/{organization.name}"})
    answer = json.loads(grpcurl("penstock.v1.OrganizationService/GetOrganization", data=request).out)
    assert answer["name"] == f"organizations/{organization.name}"
    assert answer["uid"]


def test_not_found(grpcurl: Grpcurl, organization: Organization) -> None:
    """What is not there is said with a reason that programs can compare."""
    name = f"organizations/{organization.name}/artifacts/no-such"
    code, details = failure(grpcurl, "penstock.v1.ArtifactService/GetArtifact", {"name": name})
    assert code in (5, "NotFound", "NOT_FOUND")
    assert details["ErrorInfo"]["domain"] == "penstock.dev"
    assert details["ErrorInfo"]["reason"].isupper()


def test_every_violation_is_listed(grpcurl: Grpcurl, organization: Organization) -> None:
    """A request with two wrong fields is told of both, each with what would be right."""
    code, details = failure(
        grpcurl,
        "penstock.v1.ArtifactService/CreateArtifact",
        {
            "parent": f"organizations/{organization.name}",
            "artifact_id": "Not/An Id",
            "artifact": {"upstream": "https://docker.io/library/redis:7"},
        },
    )
    assert code in (3, "InvalidArgument", "INVALID_ARGUMENT")
    violations = {one["field"]: one["description"] for one in details["BadRequest"]["field_violations"]}
    assert set(violations) == {"artifact_id", "artifact.upstream"}
    assert "docker.io/library/redis" in violations["artifact.upstream"]


def test_without_a_token(grpcurl: Grpcurl, organization: Organization) -> None:
    """Reflection is open to all; the API is not."""
    stranger = Grpcurl(organization.penstock.grpc, "")
    assert stranger("list").code == 0
    request = {"name": f"organizations/{organization.name}"}
    code, details = failure(stranger, "penstock.v1.OrganizationService/GetOrganization", request)
    assert code in (16, "Unauthenticated", "UNAUTHENTICATED")
    assert details["ErrorInfo"]["domain"] == "penstock.dev"
