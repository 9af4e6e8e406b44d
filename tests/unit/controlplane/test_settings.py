"""Settings from the environment."""

from datetime import UTC, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from clients.process.exits import ConfigurationError
from controlplane.settings import Settings, variable
from controlplane.sync.schedule import Schedule


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_defaults_are_the_embedded_ones() -> None:
    """Without settings everything is local."""
    settings = Settings.load()
    assert (settings.data_dir, settings.database_url) == (Path("data"), "")
    assert (settings.grpc_listen, settings.http_listen) == ("127.0.0.1:8081", "127.0.0.1:8082")
    assert settings.sync_timeout == timedelta(minutes=10)
    assert not settings.allow_private_upstreams


def test_variables_have_their_documented_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable of the public contract is read."""
    monkeypatch.setenv("PENSTOCK_DATA_DIR", "/srv/x")
    monkeypatch.setenv("PENSTOCK_ALLOW_PRIVATE_UPSTREAMS", "true")
    monkeypatch.setenv("REGISTRY_UPSTREAM_SYNC_TIMEOUT", "1h30m")
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql://u:p@h/d")
    settings = Settings.load()
    assert settings.data_dir == Path("/srv/x")
    assert settings.allow_private_upstreams
    assert settings.sync_timeout == timedelta(minutes=90)
    assert "u:p" not in repr(settings)


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """`PENSTOCK_GRPC_LISTEN=` leaves the default."""
    monkeypatch.setenv("PENSTOCK_GRPC_LISTEN", "")
    assert Settings.load().grpc_listen == "127.0.0.1:8081"


def test_every_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence names all of them, by the names that people set."""
    monkeypatch.setenv("PENSTOCK_ALLOW_PRIVATE_UPSTREAMS", "perhaps")
    monkeypatch.setenv("REGISTRY_UPSTREAM_SYNC_TIMEOUT", "soon")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    assert "PENSTOCK_ALLOW_PRIVATE_UPSTREAMS" in str(caught.value)
    assert "REGISTRY_UPSTREAM_SYNC_TIMEOUT" in str(caught.value)
    assert "10m" in str(caught.value)


def test_settings_do_not_change() -> None:
    """The value is frozen."""
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().log_level = "debug"  # type: ignore[misc]  # that is the point


def test_the_schedule_has_a_default_and_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is no schedule; hours are UTC's unless a time zone is named."""
    assert Settings.load().schedule == Schedule("15,45 * * * *", UTC)
    monkeypatch.setenv("REGISTRY_UPSTREAM_SYNC_CRON", "")
    assert Settings.load().schedule == Schedule("", UTC)
    monkeypatch.setenv("REGISTRY_UPSTREAM_SYNC_CRON", "@hourly")
    monkeypatch.setenv("PENSTOCK_TIME_ZONE", "Europe/Berlin")
    assert Settings.load().schedule == Schedule("@hourly", ZoneInfo("Europe/Berlin"))


def test_a_bad_schedule_is_refused_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, the character and what is wrong with it; the same for the time zone."""
    monkeypatch.setenv("REGISTRY_UPSTREAM_SYNC_CRON", "15,61 * * * *")
    monkeypatch.setenv("PENSTOCK_TIME_ZONE", "Mars/Olympus")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    assert "REGISTRY_UPSTREAM_SYNC_CRON: character 4: '61' is no minute" in str(caught.value)
    assert "PENSTOCK_TIME_ZONE: 'Mars/Olympus' is no time zone" in str(caught.value)


def test_every_setting_is_described() -> None:
    """The README's table is made from the descriptions."""
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("name", ["PENSTOCK_REDIS_URL", "PENSTOCK_TRACING_ENDPOINT"])
def test_a_password_that_others_can_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, unless nobody minds."""
    scheme = "redis" if "REDIS" in name else "http"
    monkeypatch.setenv(name, f"{scheme}://me:hunter2@elsewhere.invalid:1")
    (warning,) = Settings.load().exposed
    assert warning.startswith(f"{name} has a password")
    monkeypatch.setenv("PENSTOCK_ALLOW_CLEARTEXT", "yes")
    assert not Settings.load().exposed
