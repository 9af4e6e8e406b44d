"""Says whether the lock files pin what pyproject.toml asks for, and name no index."""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)


def problems() -> list[str]:
    """Return one sentence for each disagreement, none when all is well."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    found = []
    for lock, wanted in (
        ("requirements.lock", project["dependencies"] + extras["build"]),
        (
            "requirements-dev.lock",
            project["dependencies"] + extras["build"] + extras["dev"] + extras["tracing"],
        ),
    ):
        text = (ROOT / lock).read_text()
        pins = {_normal(name): version for name, version in PIN.findall(text)}
        for requirement in map(Requirement, wanted):
            version = pins.get(_normal(requirement.name))
            if version is None or version not in requirement.specifier:
                found.append(f"{lock} does not pin {requirement}: run 'make lock' and commit the result")
        if "://" in text:
            found.append(f"{lock} names an address: lock files hold names, versions and hashes only")
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sentences = problems()
    sys.stderr.writelines(f"{sentence}\n" for sentence in sentences)
    sys.exit(bool(sentences))
