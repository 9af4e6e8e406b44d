"""Whether a node can serve, and what there is to know about it."""

from collections.abc import Sequence
from typing import Any

from dataplane.config.state import ConfigState


def details(state: ConfigState, *, draining: bool, trouble: str = "", shortage: str = "") -> dict[str, Any]:
    """Say it of one process.

    `trouble` is what is wrong with its cache, `shortage` what it lacks; they leave it ready.
    """
    count, sentence = state.passed_over
    return {
        "ready": state.configuration is not None and not draining,
        "draining": draining,
        "configuration": {
            "revision": state.revision,
            "age_seconds": None if state.age is None else round(state.age, 3),
            "interruption": state.interruption,
            "refusal": state.refusal,
            "passed_over": {"count": count, "last": sentence},
        },
        "cache": {"trouble": trouble},
        "process": {"trouble": shortage},
    }


def together(reports: Sequence[dict[str, Any]]) -> tuple[bool, dict[str, Any]]:
    """Say it of several: ready when one is, and told of the one that is furthest behind."""
    if not reports:
        return False, {"ready": False}
    furthest = min(reports, key=lambda report: int(report["configuration"]["revision"]))
    troubles = {
        part: {"trouble": next((text for report in reports if (text := report[part]["trouble"])), "")}
        for part in ("cache", "process")
    }
    return any(report["ready"] for report in reports), {**furthest, **troubles}
