"""Help texts: every command says what it is for and shows how to use it."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from clients.cli.main import app


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from _commands(child, (*path, name))
    else:
        yield " ".join(path), command


COMMANDS = dict(_commands(typer.main.get_command(app)))

# What scripts outside rely on: it changes only with a major version.
CONTRACT = {
    "up": set(),
    "controlplane": set(),
    "dataplane": set(),
    "login-hint": set(),
    "version": set(),
    "organizations create": set(),
    "users create": {"--role"},
    "tokens create": {"--role", "--expires"},
    "tokens list": set(),
    "tokens delete": set(),
    "artifacts create": {"--upstream", "--plain-http", "--wait", "--skip-upstream-check"},
    "artifacts get": set(),
    "artifacts list": set(),
    "artifacts update": {"--upstream", "--wait"},
    "artifacts delete": set(),
    "artifacts sync": {"--wait"},
    "tags list": set(),
}


@pytest.mark.parametrize("path", COMMANDS)
def test_help_has_a_summary_and_examples(run, path):
    """The help text says in a sentence what the command does, and every example is a line of its own."""
    result = run(*path.split(), "--help")
    assert result.code == 0
    command = COMMANDS[path]
    summary = command.help.splitlines()[0]
    assert summary.endswith(".")
    assert summary in result.out
    examples = [line.strip() for line in command.epilog.splitlines()[2:]]
    assert examples
    for example in examples:
        assert example in [line.strip() for line in result.out.splitlines()]
        assert f"penstock {path}" in example


@pytest.mark.parametrize("path", COMMANDS)
def test_examples_parse(path):
    """What the examples show is a command line that this command takes."""
    command = COMMANDS[path]
    for line in (line.strip() for line in command.epilog.splitlines()[2:]):
        words = shlex.split(line.split("|")[0].split(">")[0].removeprefix('eval "$(').removesuffix(')"'))
        arguments = words[words.index("penstock") + 1 + len(path.split()) :]
        command.make_context(path, arguments)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_is_described(path):
    """No option or argument without a word on what it means; `--output` is everywhere."""
    parameters = COMMANDS[path].params
    assert all(getattr(parameter, "help", None) for parameter in parameters)
    assert any("--output" in parameter.opts for parameter in parameters)


@pytest.mark.parametrize("path", CONTRACT)
def test_the_contract_is_there(path):
    """Commands and options that scripts rely on."""
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    assert CONTRACT[path] <= options


@pytest.mark.parametrize("arguments", [(), ("artifacts",), ("tokens",)])
def test_summaries_fit_an_old_terminal(run, arguments):
    """In a list of commands no summary is cut off."""
    out = run(*arguments, "--help").out
    assert "..." not in out.split("Commands:")[1]


def test_nothing_at_all_shows_the_help(run):
    """`penstock` alone says what there is, and is wrong usage."""
    result = run()
    assert result.code == 2
    assert "organizations" in result.out + result.err


def test_a_mistyped_command_is_wrong_usage(run):
    """Exit code 2, and a sentence on standard error."""
    result = run("artefacts", "list")
    assert result.code == 2
    assert "artefacts" in result.err
    assert result.out == ""
