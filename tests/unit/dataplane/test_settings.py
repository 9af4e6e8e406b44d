"""The data plane's settings: what the environment may say, and how it is told what it may not."""

from datetime import timedelta
from pathlib import Path

import pytest

from clients.control.token import TokenKind, new_token
from clients.process.exits import ConfigurationError, Exit
from dataplane.__main__ import main, warn
from dataplane.blobs.place import Place
from dataplane.settings import Settings
from tests.servers.certificates import Authority


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests say themselves what is set."""
    for field in Settings.model_fields:
        monkeypatch.delenv(f"PENSTOCK_{field.upper()}", raising=False)


def test_nothing_needs_to_be_set() -> None:
    """The addresses are those of the README."""
    settings = Settings.load()
    assert settings.data_dir == Path("data")
    assert settings.registry_listen == "127.0.0.1:8080"
    assert settings.node_listen == "127.0.0.1:8083"
    assert settings.address == "127.0.0.1:8081"
    assert settings.drain_timeout == timedelta(seconds=30)
    assert settings.blob_directory(Path("/d")) == Path("/d/blobs")


def test_how_to_be_sure_of_the_control_plane(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its certificates, and a node's own, are looked at before anything is started."""
    authority = Authority()
    own = authority.issue(tmp_path, "node")
    for name, value in (
        ("ADDRESS", "https://penstock.example:8081"),
        ("CA_FILE", str(authority.write(tmp_path))),
        ("SERVER_NAME", "other.example"),
        ("CLIENT_CERTIFICATE", str(own.certificate)),
        ("CLIENT_KEY", str(own.key)),
    ):
        monkeypatch.setenv(f"PENSTOCK_{name}", value)
    assert str(Settings.load().target) == "https://penstock.example:8081"
    for name, value in (
        ("ADDRESS", "penstock.example:8081"),
        ("CA_FILE", str(own.key)),
        ("CLIENT_CERTIFICATE", ""),
        ("CLIENT_KEY", str(tmp_path / "absent")),
    ):
        with monkeypatch.context() as wrong:
            wrong.setenv(f"PENSTOCK_{name}", value)
            with pytest.raises(ConfigurationError, match=f"PENSTOCK_{name}"):
                Settings.load()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ADDRESS", "127.0.0.1:1", ""),
        ("ADDRESS", "controlplane:1", "The token is sent in clear to controlplane:1"),
        ("REDIS_URL", "redis://me:hunter2@cache:1", "PENSTOCK_REDIS_URL has a password"),
        ("TRACING_ENDPOINT", "http://me:hunter2@collector:1", "PENSTOCK_TRACING_ENDPOINT has a password"),
    ],
)
def test_what_others_can_read(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is sent in clear to another machine, with a warning unless nobody minds."""
    monkeypatch.setenv(f"PENSTOCK_{name}", value)
    warn(Settings.load())
    assert told in caplog.text
    assert "hunter2" not in caplog.text
    assert bool(caplog.text) is bool(told)
    caplog.clear()
    monkeypatch.setenv("PENSTOCK_ALLOW_CLEARTEXT", "true")
    warn(Settings.load())
    assert not caplog.text


def test_a_misspelled_setting_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The node starts without it; it may be another version's."""
    monkeypatch.setenv("PENSTOCK_WORKRES", "2")
    warn(Settings.load())
    assert "PENSTOCK_WORKERS may be meant" in caplog.text


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1000", 1000), ("5B", 5), ("20GiB", 20 << 30), ("3 MiB", 3 << 20), (" 1TiB ", 1 << 40)],
)
def test_sizes_have_units(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or are bytes."""
    monkeypatch.setenv("PENSTOCK_CACHE_MAX_BYTES", text)
    assert Settings.load().cache_max_bytes == size


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///var/cache/blobs", "/var/cache/blobs"),
        ("file://localhost/blobs", "/blobs"),
        ("file:///with%20space", "/with space"),
    ],
)
def test_blobs_can_be_kept_elsewhere(url: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a file URL."""
    monkeypatch.setenv("PENSTOCK_BLOB_STORE", url)
    assert Settings.load().blob_directory(Path("/d")) == Path(path)


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [("s3://blobs", "blobs", ""), ("s3://my.blobs/a/b%20c/", "my.blobs", "a/b c")],
)
def test_a_bucket_has_a_hot_tier_in_the_data_directory(
    url: str, bucket: str, prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By an s3 URL, at Amazon or at an endpoint of one's own with certificates of its own."""
    (tmp_path / "ca.pem").write_text("")
    monkeypatch.setenv("PENSTOCK_BLOB_STORE", url)
    monkeypatch.setenv("PENSTOCK_S3_ENDPOINT", "https://s3.example.com:9000")
    monkeypatch.setenv("PENSTOCK_S3_CA_FILE", str(tmp_path / "ca.pem"))
    settings = Settings.load()
    assert settings.blob_directory(Path("/d")) == Path("/d/blobs")
    assert settings.bucket == Place(bucket, prefix, "https://s3.example.com:9000", tmp_path / "ca.pem")


@pytest.mark.parametrize(("name", "value"), [("ENDPOINT", "s3.example.com"), ("CA_FILE", "/no/such/file")])
def test_a_bucket_that_cannot_be_reached_like_this_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start, not at the first pull."""
    monkeypatch.setenv("PENSTOCK_BLOB_STORE", "s3://bucket")
    monkeypatch.setenv(f"PENSTOCK_S3_{name}", value)
    with pytest.raises(ConfigurationError, match=f"PENSTOCK_S3_{name}"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PENSTOCK_REGISTRY_LISTEN", "8080"),
        ("PENSTOCK_NODE_LISTEN", "localhost:http"),
        ("PENSTOCK_ADDRESS", "http://127.0.0.1:8081"),
        ("PENSTOCK_DRAIN_TIMEOUT", "soon"),
        ("PENSTOCK_DRAIN_TIMEOUT", "30"),
        ("PENSTOCK_CACHE_MAX_BYTES", "lots"),
        ("PENSTOCK_CACHE_MAX_BYTES", "-1"),
        ("PENSTOCK_CACHE_MAX_BYTES", "10GB"),
        ("PENSTOCK_MANIFEST_MEMORY_MAX_BYTES", "1.5GiB"),
        ("PENSTOCK_MAX_CONNECTIONS", "0"),
        ("PENSTOCK_BLOB_STORE", "/var/cache"),
        ("PENSTOCK_BLOB_STORE", "file://host/var"),
        ("PENSTOCK_BLOB_STORE", "s3:///prefix"),
        ("PENSTOCK_BLOB_STORE", "s3://Not_A_Bucket/prefix"),
        ("PENSTOCK_BLOB_STORE", "s3://[bucket"),
        ("PENSTOCK_S3_PUBLIC_ENDPOINT", "https://[s3.example.com"),
        ("PENSTOCK_S3_PUBLIC_ENDPOINT", "https://s3.example.com:port"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with the variable that holds it."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name) as caught:
        Settings.load()
    assert "\n" not in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_the_nodes_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when the settings are printed nor in an error about others."""
    monkeypatch.setenv("PENSTOCK_NODE_TOKEN", "psn_secret")
    assert "psn_secret" not in repr(Settings.load())
    monkeypatch.setenv("PENSTOCK_DRAIN_TIMEOUT", "soon")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    assert "psn_secret" not in str(caught.value)


def test_every_setting_is_described() -> None:
    """The README's table is made of it."""
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who speaks the PROXY protocol must be known, and networks must be networks."""
    monkeypatch.setenv("PENSTOCK_PROXY_PROTOCOL", "true")
    with pytest.raises(ConfigurationError, match="PENSTOCK_PROXY_PROTOCOL needs PENSTOCK_TRUSTED_PROXIES"):
        Settings.load()
    monkeypatch.setenv("PENSTOCK_TRUSTED_PROXIES", "lb.example.com")
    with pytest.raises(ConfigurationError, match=r"PENSTOCK_TRUSTED_PROXIES: 'lb\.example\.com'"):
        Settings.load()
    monkeypatch.setenv("PENSTOCK_TRUSTED_PROXIES", "10.0.0.0/8")
    assert Settings.load().proxies.trusts("10.1.2.3")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ADDRESS", "me:hunter2@controlplane:1"),
        ("ADDRESS", "https://me:hunter2@controlplane"),
        ("NODE_LISTEN", "me:hunter2@127.0.0.1:1"),
        ("BLOB_STORE", "s3://AKIA:hunter2/x@bucket"),
        ("BLOB_STORE", "file://me:hunter2/x@host/path"),
        ("S3_ENDPOINT", "https://AKIA:hunter2/x@s3.example.com"),
        ("S3_ENDPOINT", "https://AKIA:hunter2@s3.example.com"),
        ("S3_PUBLIC_ENDPOINT", "https://AKIA:hunter2@s3.example.com"),
    ],
)
def test_a_password_where_none_belongs(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """It is refused, in a sentence that does not have it: keys for S3 in a URL would be told to clients."""
    monkeypatch.setenv("PENSTOCK_BLOB_STORE", "s3://bucket")
    monkeypatch.setenv(f"PENSTOCK_{name}", value)
    with pytest.raises(ConfigurationError, match=f"PENSTOCK_{name}") as caught:
        Settings.load()
    assert "hunter2" not in str(caught.value)


def test_an_argument_is_no_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody who asks for help, or means a setting, has a node started."""
    assert main(["--help"]) == Exit.USAGE
    assert "environment variables" in capsys.readouterr().err


def test_a_token_in_the_wrong_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence ends up in somebody's log: the token does not."""
    token = new_token(TokenKind.NODE)
    monkeypatch.setenv("PENSTOCK_ADDRESS", token)
    assert main([]) == Exit.CONFIGURATION
    said = capsys.readouterr().err
    assert "PENSTOCK_ADDRESS is 'psn_[redacted]'" in said
    assert token not in said
