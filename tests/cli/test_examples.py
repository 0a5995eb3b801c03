"""Every command's help ends with examples that are calls of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest

from taco.cli.app import ENTRIES, taco
from taco.cli.examples import EXAMPLES


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(taco, info_name="taco")
    for name in ENTRIES:
        command = taco.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None
                yield f"{name} {inner}", found


COMMANDS = dict(commands())


def test_there_are_examples_for_every_command_and_no_other() -> None:
    assert EXAMPLES.keys() == COMMANDS.keys()


@pytest.mark.parametrize("path", COMMANDS)
def test_its_help_ends_with_them(path: str) -> None:
    context = click.Context(COMMANDS[path], info_name=path, parent=click.Context(taco, info_name="taco"))
    shown = COMMANDS[path].get_help(context)
    for example in EXAMPLES[path]:
        assert f"  taco {example}" in shown or f"  {example}" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(("path", "example"), [(path, each) for path in COMMANDS for each in EXAMPLES[path]])
def test_an_example_is_a_call_of_it(path: str, example: str) -> None:
    words = shlex.split(example.replace('eval "$(taco ', "").replace(')"', "").rpartition("| taco ")[2])
    assert words[: len(path.split())] == path.split()
    rest = words[len(path.split()) :]
    command = COMMANDS[path]
    if isinstance(command, click.Group):
        assert not rest or rest[0] in command.commands or rest == []
        return
    with command.make_context(path, rest, resilient_parsing=False) as context:
        assert context.args == []
