"""What a test does that misses a real part: it skips and says why, or fails in CI."""

from collections.abc import Callable

import pytest
from _pytest.outcomes import Failed, Skipped

from tests.servers import requirement


@pytest.fixture(params=["elsewhere", "ci-as-user", "ci-as-root"])
def in_ci_as_root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether parts must be there."""
    monkeypatch.setenv("CI", "" if request.param == "elsewhere" else "true")
    monkeypatch.setattr("os.geteuid", lambda: 0 if request.param == "ci-as-root" else 1000)
    return bool(request.param == "ci-as-root")


def outcome(call: Callable[[], object]) -> tuple[type[BaseException], str]:
    """How a call ends a test, and why."""
    with pytest.raises((Skipped, Failed)) as raised:
        call()
    return raised.type, str(raised.value)


def test_a_debian_program(*, in_ci_as_root: bool) -> None:
    """The reason names the program and the package that has it."""
    kind, reason = outcome(lambda: requirement.debian("no-such-program", "no-such-package"))
    assert kind is (Failed if in_ci_as_root else Skipped)
    assert "no-such-program" in reason
    assert "no-such-package" in reason


@pytest.mark.parametrize("go", ["", "/usr/bin/go"], ids=["without-go", "with-go"])
def test_a_go_program(go: str, monkeypatch: pytest.MonkeyPatch, *, in_ci_as_root: bool) -> None:
    """Without Go, nothing can be built, which is no failure anywhere."""
    monkeypatch.setattr("shutil.which", lambda _: go or None)
    kind, reason = outcome(lambda: requirement.go_built("no-such-tool"))
    assert kind is (Failed if in_ci_as_root and go else Skipped)
    assert "no-such-tool" in reason


def test_what_is_there() -> None:
    """A program that every machine has is simply found."""
    assert requirement.debian("sh", "dash").name == "sh"
