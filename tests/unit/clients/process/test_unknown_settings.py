"""Misspelled settings are told; what is right, or another's, is not."""

import re

import pytest

from clients.process.unknown_settings import KNOWN, warn_of_unknown
from deploy.docs import settings_table


def test_every_setting_is_known() -> None:
    """The planes' and the command's, as the README lists them: a new one belongs into both."""
    assert set(re.findall(r"^\| `(\w+)`", settings_table(), re.MULTILINE)) == KNOWN


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("PENSTOCK_WORKRES", ": PENSTOCK_WORKERS may be meant"),
        ("penstock_grpc_lisen", ": PENSTOCK_GRPC_LISTEN may be meant"),
        ("REGISTRY_UPSTREAM_SYNC_CORN", ": REGISTRY_UPSTREAM_SYNC_CRON may be meant"),
        ("PENSTOCK_FROM_THE_FUTURE", ""),
        ("PENSTOCK_PORT", ""),
    ],
)
def test_an_unknown_one_is_told_with_what_may_be_meant(
    name: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If anything is like it; never its value, which may be a password."""
    warn_of_unknown({name: "hush", "PENSTOCK_DATA_DIR": "data"})
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == f"{name} is no setting of this version and is ignored{told}."


def test_what_is_none_of_ours_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """Settings in any case as they are read, empty ones, what Kubernetes sets for services of our name."""
    ours = dict.fromkeys([*KNOWN, "penstock_workers"], "1")
    service = {
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "8081",
        "SERVICE_PORT_GRPC": "8081",
        "PORT": "tcp://10.0.0.1:8081",
        "PORT_8081_TCP": "tcp://10.0.0.1:8081",
        "PORT_8081_TCP_ADDR": "10.0.0.1",
    }
    linked = {
        f"PENSTOCK_{part}{name}": value for name, value in service.items() for part in ("", "CONTROLPLANE_")
    }
    warn_of_unknown({**ours, **linked, "PENSTOCK_GONE": "", "PENSTOCKS": "1", "PATH": "/bin"})
    assert caplog.records == []


def test_an_environment_full_of_them_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A bounded number of bounded lines."""
    warn_of_unknown({f"PENSTOCK_{number}{'X' * 5000}": "1" for number in range(1000)})
    assert len(caplog.records) == 20
    assert all(len(record.getMessage()) < 200 for record in caplog.records)
