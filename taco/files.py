"""Loads what people write: configuration files, providers, prompts."""

from __future__ import annotations

import os
import string
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from taco.config import Config, Layer, from_environment, merge
from taco.errors import ConfigError, NotFoundError, TacoError
from taco.projects import Trust, trust_of
from taco.provider import Provider, parse_provider


@dataclass(frozen=True, slots=True)
class Settings:
    """The merged configuration, where each value came from, and what the person should be told."""

    config: Config
    sources: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProviderFile:
    """One provider's file: a provider, or the reason why it is none."""

    name: str
    source: str  # "built in", or the file's path
    provider: Provider | None
    error: str = ""
    trusted: bool = True


def read_toml(path: Path) -> dict[str, Any]:
    """The contents of a TOML file; raises ConfigError that names it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: {reason}", hint="mend that file") from None


def settings(
    config_home: Path, home: Path, project: Path | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """The configuration: defaults < user file < trusted project's file < environment < flags (None is unset)."""
    layers, notes = [], []
    user_file = config_home / "config.toml"
    if user_file.exists():
        layers.append(Layer(str(user_file), read_toml(user_file)))
    project_file = project / ".taco" / "config.toml" if project else None
    if project and project_file and project_file.exists():
        trust = trust_of(home, project)
        if trust is Trust.TRUSTED:
            layers.append(Layer(str(project_file), read_toml(project_file)))
        else:
            notes.append(f"{project_file} is ignored: {trust.value}; to trust it as it is now: taco provider trust")
    layers.append(from_environment(os.environ))
    layers.append(Layer("flag", {key: value for key, value in (flags or {}).items() if value is not None}))
    config, sources = merge(layers)
    return Settings(config, sources, tuple(notes))


def provider_files(config_home: Path, home: Path, project: Path | None = None) -> list[ProviderFile]:
    """Every provider's file, the one that counts last where a name stands twice; broken ones carry their error."""
    found = [*_built_in(), *_in_directory(config_home / "providers", trusted=True)]
    if project:
        own = project / ".taco" / "providers"
        found += _in_directory(own, trusted=own.is_dir() and trust_of(home, project) is Trust.TRUSTED)
    return found


def providers(config_home: Path, home: Path, project: Path | None = None) -> dict[str, Provider]:
    """The usable providers by name: built in < user's < trusted project's. A broken file takes its name away."""
    found: dict[str, Provider] = {}
    for each in provider_files(config_home, home, project):
        if each.provider and each.trusted:
            found[each.name] = each.provider
        elif each.trusted:
            found.pop(each.name, None)
    return found


def provider(name: str, config_home: Path, home: Path, project: Path | None = None) -> Provider:
    """One provider; raises ConfigError when its file is broken, NotFoundError (with the names there are) when none."""
    files = provider_files(config_home, home, project)
    named = [each for each in files if each.name == name]
    counting = [each for each in named if each.trusted]
    if counting and counting[-1].provider:
        return counting[-1].provider
    if counting:
        raise ConfigError(counting[-1].error, hint=f"mend it, then: taco provider check {counting[-1].source}")
    if named:
        raise NotFoundError(
            f"provider {name!r} comes from {named[0].source}, and its project is {_trust_words(home, project)}",
            hint="look at the file, then: taco provider trust",
        )
    known = ", ".join(sorted({each.name for each in files if each.provider and each.trusted}))
    raise NotFoundError(f"no provider {name!r}", hint=f"providers: {known}")


def _trust_words(home: Path, project: Path | None) -> str:
    return trust_of(home, project).value if project else Trust.NEVER.value


def load_provider(path: Path) -> Provider:
    """The provider in a file; raises ConfigError that names file and key."""
    found = parse_provider(read_toml(path), str(path))
    if found.name != path.stem:
        raise ConfigError(
            f"{path}: name: is {found.name!r}", hint=f"the file is called {found.name}.toml, or the name {path.stem!r}"
        )
    return found


def prompt(name: str, values: Mapping[str, str]) -> str:
    """A prompt with its `$placeholders` filled in, without the comment at its head; raises TacoError for a gap."""
    try:
        return string.Template(template(name)).substitute(values)
    except (KeyError, ValueError) as error:
        raise TacoError(f"prompt {name}: no value for {error}") from None


def template(name: str) -> str:
    """A prompt as it is shipped: its `$placeholders` open, without the comment at its head."""
    text = resources.files("taco").joinpath("prompts", f"{name}.md").read_text(encoding="utf-8")
    return without_comment(text)


def without_comment(text: str) -> str:
    """Markdown without the HTML comment it begins with."""
    body = text.lstrip()
    if body.startswith("<!--"):
        body = body.partition("-->")[2]
    return body.strip() + "\n"


def _built_in() -> Iterator[ProviderFile]:
    for entry in sorted(resources.files("taco").joinpath("providers").iterdir(), key=lambda each: each.name):
        if entry.name.endswith(".toml"):
            data = tomllib.loads(entry.read_text(encoding="utf-8"))
            found = parse_provider(data, f"built-in provider {entry.name}")
            yield ProviderFile(found.name, "built in", found)


def _in_directory(directory: Path, *, trusted: bool) -> Iterator[ProviderFile]:
    for path in sorted(directory.glob("*.toml")):
        try:
            yield ProviderFile(path.stem, str(path), load_provider(path), trusted=trusted)
        except ConfigError as error:
            yield ProviderFile(path.stem, str(path), None, error=error.message, trusted=trusted)
