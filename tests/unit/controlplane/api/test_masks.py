"""Update masks."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from controlplane.api.errors import ApiError
from controlplane.api.masks import masked_fields
from controlplane.api.validation import Violations
from penstock.v1.artifact_pb2 import Artifact
from penstock.v1.user_pb2 import User

ARTIFACT = Artifact(
    name="organizations/a/artifacts/b", uid="u", display_name="B", upstream="x/y", etag="e", tag_count=3
)


CHANGEABLE = {
    "ca_certificates",
    "cache_policy",
    "credential",
    "display_name",
    "labels",
    "plain_http",
    "sync_policy",
    "upstream",
}


@pytest.mark.parametrize(
    ("paths", "fields"),
    [
        ([], {"display_name", "upstream"}),
        (["*"], CHANGEABLE),
        (["plain_http"], {"plain_http"}),
        (["display_name", "display_name"], {"display_name"}),
        # What was read may be sent back as it came.
        (["name", "uid", "etag", "tag_count", "create_time.seconds", "upstream"], {"upstream"}),
    ],
)
def test_masks_name_fields(paths: list[str], fields: set[str]) -> None:
    """Set ones without a mask, all for *, and none that only the server sets."""
    with Violations() as violations:
        assert masked_fields(FieldMask(paths=paths), ARTIFACT, violations) == fields


@pytest.mark.parametrize("path", ["nonsense", "display_name.x", "", "*.x", "displayName"])
def test_other_paths_are_violations(path: str) -> None:
    """The sentence lists what can be changed."""
    with Violations() as found:
        masked_fields(FieldMask(paths=["upstream"]), ARTIFACT, found)
    violations = Violations()
    masked_fields(FieldMask(paths=[path, "upstream"]), ARTIFACT, violations)
    with pytest.raises(ApiError, match="some of ca_certificates, cache_policy, credential, display_name"):
        violations.__exit__(None, None, None)


def test_immutable_fields_are_left_to_compare() -> None:
    """An e-mail address that is sent back must be seen to be the same."""
    with Violations() as violations:
        fields = masked_fields(FieldMask(), User(email="a@b", name="n"), violations)
    assert fields == {"email"}
