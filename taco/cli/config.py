"""`taco config`: every setting with its value and where it comes from."""

from __future__ import annotations

from pathlib import Path

import click

from taco import files, paths
from taco.cli import say
from taco.cli.options import json_option
from taco.cli.snapshot import public_url
from taco.config import Config
from taco.errors import NotFoundError


@click.command()
@click.argument("key", required=False)
@click.option(
    "--dir",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The project whose .taco/config.toml counts; default: this directory.",
)
@json_option
def config(key: str | None, directory: Path, as_json: bool) -> None:
    """Print every setting (or KEY) with its value and source.

    Order, later wins: defaults, the user's config.toml, a trusted project's .taco/config.toml, TACO_*, flags.
    """
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


def _value(settings: Config, name: str) -> object:
    value = getattr(settings, name)
    return public_url(value) if name == "redis_url" else value
