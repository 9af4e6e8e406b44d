"""The protected registries of the tests protect: otherwise tests that pull from them would prove nothing."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.images import make_image
from tests.servers import http
from tests.servers.certificates import Authority
from tests.servers.docker_registry import DockerRegistry
from tests.servers.skopeo import Skopeo
from tests.servers.token_server import TokenServer

pytestmark = pytest.mark.real

PASSWORD = "correct horse battery staple"


@contextmanager
def started(registry: DockerRegistry) -> Iterator[DockerRegistry]:
    """Runs a registry for a while."""
    try:
        yield registry.start()
    finally:
        registry.stop()


def test_basic(tmp_path: Path) -> None:
    """Only the user's own password opens it."""
    with started(DockerRegistry(tmp_path / "registry", users={"alice": PASSWORD})) as registry:
        refused = http.request(registry.host, "GET", "/v2/")
        assert refused.headers["WWW-Authenticate"].startswith("Basic ")
        wrong = {"Authorization": http.basic("wrong", user="alice")}
        assert http.request(registry.host, "GET", "/v2/", headers=wrong).status == 401
        right = {"Authorization": http.basic(PASSWORD, user="alice")}
        assert http.request(registry.host, "GET", "/v2/", headers=right).status == 200


def test_bearer(tmp_path: Path) -> None:
    """Tokens of the token server open it: anybody's for what is public, a user's for the rest."""
    with (
        TokenServer(tmp_path / "tokens", {"alice": PASSWORD}) as tokens,
        started(DockerRegistry(tmp_path / "registry", tokens=tokens)) as registry,
    ):
        skopeo = Skopeo(tmp_path / "skopeo")
        skopeo.login(registry.host, PASSWORD, user="alice")
        for repository in ("public/app", "team/app"):
            skopeo.push(make_image(), f"{registry.host}/{repository}:1.0")

        def read(repository: str, authorization: str) -> int:
            query = f"/token?service=docker-registry&scope=repository:{repository}:pull"
            headers = {"Authorization": authorization} if authorization else {}
            answer = http.request(tokens.host, "GET", query, headers=headers)
            bearer = {"Authorization": f"Bearer {answer.json().get('token')}"}
            return http.request(registry.host, "GET", f"/v2/{repository}/tags/list", headers=bearer).status

        alice = http.basic(PASSWORD, user="alice")
        assert [read("public/app", ""), read("team/app", "")] == [200, 401]
        assert [read("public/app", alice), read("team/app", alice)] == [200, 200]
        assert read("team/app", http.basic("wrong", user="alice")) == 401
        assert tokens.saw(PASSWORD)


def test_private_authority(tmp_path: Path) -> None:
    """Who does not trust its authority does not get in."""
    authority = Authority()
    pair = authority.issue(tmp_path / "tls", "127.0.0.1")
    trust = authority.client_context()
    with started(DockerRegistry(tmp_path / "registry", tls=pair, trust=trust)) as registry:
        assert http.request(registry.host, "GET", "/v2/", tls=trust).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            http.request(registry.host, "GET", "/v2/", tls=ssl.create_default_context())
