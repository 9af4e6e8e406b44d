"""Path templates of REST."""

import pytest

from controlplane.web.rest.template import Template

_NAMED = "/api/v1/{name=organizations/*/artifacts/*}"


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        (
            _NAMED,
            "/api/v1/organizations/acme/artifacts/redis",
            {"name": "organizations/acme/artifacts/redis"},
        ),
        (_NAMED, "/api/v1/organizations/acme/artifacts/a~b", {"name": "organizations/acme/artifacts/a~b"}),
        (_NAMED, "/api/v1/organizations/acme/artifacts", None),
        (_NAMED, "/api/v1/organizations/acme/artifacts/a/b", None),
        (_NAMED, "/api/v1/organizations//artifacts/a", None),
        (_NAMED, "/api/v1/organizations/acme/artifacts/redis:sync", None),
        (
            f"{_NAMED}:sync",
            "/api/v1/organizations/a/artifacts/b:sync",
            {"name": "organizations/a/artifacts/b"},
        ),
        (f"{_NAMED}:sync", "/api/v1/organizations/a/artifacts/b", None),
        ("/v/{user.name=users/*}", "/v/users/ci%40example.com", {"user.name": "users/ci@example.com"}),
        ("/v/{name=users/*}", "/v/users/a%2Fb", {"name": "users/a%2Fb"}),
        ("/v/{name=users/*}", "/v/users/a%3Ab", {"name": "users/a:b"}),
        ("/v/{id}", "/v/x.y", {"id": "x.y"}),
        ("/v/fixed", "/v/fixed", {}),
        ("/v/fixed", "/v/fixedx", None),
        ("/v.x/{id}", "/vax/1", None),
    ],
)
def test_paths_match(template: str, path: str, values: dict[str, str] | None) -> None:
    """Variables take whole segments, decoded but for slashes; a verb belongs to the template."""
    assert Template.parse(template).match(path) == values


@pytest.mark.parametrize("text", ["/v/{name", "/v/{=x}", "/v/{name=**}", "/v/**"])
def test_what_is_not_served_is_refused(text: str) -> None:
    """A template of another form is an error when the process starts, not a path that never matches."""
    with pytest.raises(ValueError, match="path template"):
        Template.parse(text)
