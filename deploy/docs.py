"""Writes the README's tables of settings and commands from the code; --check says whether they are stale."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import typer
from pydantic.fields import FieldInfo
from typer.core import TyperGroup

import controlplane.settings
import dataplane.settings
from clients.cli.main import app
from clients.control.target import ADDRESS_SETTING
from clients.control.trust import CA_SETTING, CERTIFICATE_SETTING, KEY_SETTING, NAME_SETTING
from clients.process.cleartext import SETTING as CLEARTEXT_SETTING

ROOT = Path(__file__).parent.parent
_KIBIBYTE = 1024
_SIZES = {"GiB": _KIBIBYTE**3, "MiB": _KIBIBYTE**2, "KiB": _KIBIBYTE}
_DURATIONS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
# What the command reads as nodes do.
_OF_COMMAND = (
    ADDRESS_SETTING,
    CA_SETTING,
    NAME_SETTING,
    CERTIFICATE_SETTING,
    KEY_SETTING,
    CLEARTEXT_SETTING,
)
PLANES = {"control plane": controlplane.settings.Settings, "node": dataplane.settings.Settings}


def settings_table() -> str:
    """Give one row for each environment variable that a plane reads."""
    rows: dict[str, tuple[list[str], str, str]] = {}
    for plane, model in PLANES.items():
        for name, field in model.model_fields.items():
            variable = str(field.validation_alias or f"PENSTOCK_{name.upper()}")
            readers, *_ = rows.setdefault(variable, ([], _default(field), field.description or ""))
            readers.append(plane)
    for variable in _OF_COMMAND:
        rows[variable][0].append("command")
    rows["PENSTOCK_TOKEN"] = (
        ["command"],
        "`admin-token` in the data directory",
        "the token that the command sends",
    )
    lines = ["| variable | default | read by | what it says |", "|---|---|---|---|"]
    lines += [
        f"| `{variable}` | {default} | {', '.join(readers)} | {_cell(description)} |"
        for variable, (readers, default, description) in sorted(rows.items())
    ]
    return "\n".join(lines)


def commands_table() -> str:
    """Give one row for each command, with the first sentence of its help."""
    group = typer.main.get_command(app)
    lines = ["| command | what it does |", "|---|---|"]
    lines += [f"| `penstock {path}` | {_cell(help_line)} |" for path, help_line in _commands(group, ())]
    return "\n".join(lines)


def _commands(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from _commands(child, (*path, name))
    else:
        text = (getattr(command, "help", None) or "").strip()
        yield " ".join(path), " ".join(text.split("\n\n")[0].split())


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if isinstance(default, timedelta):
        return f"`{_in_units(int(default.total_seconds()), _DURATIONS)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, int) and default >= _KIBIBYTE:
        return f"`{_in_units(default, _SIZES)}`"
    return f"`{default}`" if str(default or "") or default == 0 else ""


def _in_units(number: int, units: dict[str, int]) -> str:
    # The largest unit that says it without a fraction.
    for unit, size in units.items():
        if number and number % size == 0:
            return f"{number // size}{unit}"
    return str(number)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def rendered(readme: str) -> str:
    """Give the README with its tables as the code says them."""
    for marker, table in (("settings", settings_table()), ("commands", commands_table())):
        start, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
        before, _, rest = readme.partition(start)
        _, _, after = rest.partition(end)
        readme = f"{before}{start}\n{table}\n{end}{after}"
    return readme


def main() -> int:
    """Write or check the README."""
    path = ROOT / "README.md"
    current = path.read_text()
    wanted = rendered(current)
    if "--check" in sys.argv[1:]:
        if current != wanted:
            sys.stderr.write("README.md is stale: run 'make docs' and commit the result\n")
        return int(current != wanted)
    path.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
