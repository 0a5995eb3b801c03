"""`taco config`: every setting with its value and where it comes from."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from taco import files, paths
from taco.cli import editing, say
from taco.cli.options import json_option
from taco.cli.snapshot import public_url
from taco.config import Config, Layer, merge
from taco.errors import ConfigError, NotFoundError


def complete_setting(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of the settings."""
    known = {name: field.description or "" for name, field in Config.model_fields.items()} | {EDIT: "change them"}
    return [CompletionItem(name, help=text) for name, text in known.items() if name.startswith(incomplete)]


EDIT = "edit"


@click.command()
@click.argument("key", required=False, metavar="[KEY|edit]", shell_complete=complete_setting)
@click.option(
    "--dir",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The project whose .taco/config.toml counts; default: this directory.",
)
@json_option
def config(key: str | None, directory: Path, as_json: bool) -> None:
    """Print every setting (or KEY) with its value and source; `taco config edit` opens your config.toml in $EDITOR.

    Order, later wins: defaults, the user's config.toml, a trusted project's .taco/config.toml, TACO_*, flags.
    """
    if key == EDIT:
        _edit(paths.config_home() / "config.toml")
        return
    found = files.settings(paths.config_home(), paths.home(), directory.resolve())
    for note in found.notes:
        say.warn(note)
    if key and key not in Config.model_fields:
        raise NotFoundError(f"no setting {key!r}", hint="taco config lists them")
    shown = {
        name: {
            "value": _value(found.config, name),
            "source": found.sources[name],
            "description": field.description,
        }
        for name, field in Config.model_fields.items()
        if key in (None, name)
    }
    if as_json:
        say.data(shown)
        return
    if key:
        say.out(str(shown[key]["value"]))
        say.note(f"from {shown[key]['source']}")
        return
    say.table(
        ["SETTING", "VALUE", "SOURCE", "MEANING"],
        [[name, each["value"], each["source"], each["description"]] for name, each in shown.items()],
        styles={0: "bold", 2: lambda text: "dim" if text.strip() == "default" else "cyan", 3: "dim"},
    )
    say.note(f"user file: {paths.config_home() / 'config.toml'}")


def _edit(path: Path) -> None:
    """Let the person change their own settings; a file that says nothing yet begins with all of them, as comments."""
    before = path.read_text(encoding="utf-8") if path.exists() else _template()
    after = editing.edit(before, "config.toml", lambda text: _check(text, str(path)), unchanged=f"it is {path}")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    draft.write_text(after, encoding="utf-8")
    draft.replace(path.resolve())  # where it is a link, that stays
    say.out(f"saved {path}; running sessions take over rules, notices and the token budget at once")


def _check(text: str, source: str) -> None:
    try:
        merge([Layer(source, tomllib.loads(text))])
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: {error}") from None


def _template() -> str:
    """Every setting with its default, commented out."""
    lines = ["# Settings of TACO: take away the # in front of what you change.", ""]
    for name, field in Config.model_fields.items():
        default = field.default
        if isinstance(default, dict):
            lines.append(f"# {field.description}")
            continue
        shown = json.dumps(list(default) if isinstance(default, tuple) else default)
        lines.append(f"# {name} = {shown}  # {field.description}")
    return "\n".join(lines) + "\n"


def _value(settings: Config, name: str) -> object:
    value = settings.model_dump(mode="json")[name]
    return public_url(value) if name == "redis_url" else value
