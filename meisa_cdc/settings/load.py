"""From options, environment and file to one validated tree; every problem is told at once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.settings.layers import (
    Layer,
    from_environment,
    from_options,
    read_env_file,
    read_file,
)
from meisa_cdc.settings.model import Settings
from meisa_cdc.settings.names import KEYS, NOT_IN_FILE, VARIABLES

DEFAULT_FILE = "meisa-cdc.toml"


def load_settings(
    config: Path | None = None,
    *,
    environ: Mapping[str, str],
    cwd: Path,
    overrides: Mapping[str, str] | None = None,
    env_file: Path | None = None,
    seen: Callable[[str], object] = str,
) -> Settings:
    """Return the settings: overrides before environment before file before defaults.

    `overrides` has dotted keys (`app_database.url`) and texts as a user writes them. Relative
    paths start at the settings file's folder, or at `cwd` where there is no file. `seen` is told
    the API key and the token whenever they are read. Raises SettingsError, one line a problem.
    """
    file = _file(config, cwd)
    base = (file.parent if file is not None else cwd).absolute()
    if env_file is not None:
        environ = {**read_env_file(cwd / env_file, str(env_file)), **environ}
    layers = [
        read_file(file, str(config or DEFAULT_FILE)) if file is not None else Layer(),
        from_environment(environ, base, seen),
        from_options(overrides or {}),
    ]
    problems = [problem for layer in layers for problem in layer.problems]
    settings = _validated(layers, base, problems)
    if settings is not None:
        problems += _conflicts(settings)
    if problems or settings is None:
        raise SettingsError("\n".join(problems))
    return settings


def _file(config: Path | None, cwd: Path) -> Path | None:
    if config is not None:
        return cwd / config
    default = cwd / DEFAULT_FILE
    return default if default.exists() else None


def _validated(layers: list[Layer], base: Path, problems: list[str]) -> Settings | None:
    origins = {key: origin for layer in layers for key, origin in layer.origins.items()}
    # Groups without a value are there too: their defaults then see the folder paths start at.
    tree: dict[str, Any] = {key.partition(".")[0]: {} for key in KEYS if "." in key}
    for layer in layers:
        for key, value in layer.values.items():
            group, dot, name = key.rpartition(".")
            (tree[group] if dot else tree)[name] = value
    try:
        return Settings.model_validate(tree, context={"base": base})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            problem = _told(detail["loc"], detail.get("ctx", {}).get("error"), origins)
            if problem not in problems:
                problems.append(problem)
        return None


def _told(loc: tuple[int | str, ...], error: object, origins: Mapping[str, str]) -> str:
    names = [str(part) for part in loc]
    if names[0] == VARIABLES:
        return f"{origins[VARIABLES]}.{names[1]}: {error}"
    return f"{origins['.'.join(names)]}: {error}"


def _conflicts(settings: Settings) -> list[str]:
    problems = []
    app, state = settings.app_database.url, settings.state.url
    if app is not None and _same_file(app.file, state.file):
        problems.append(
            f"state.url: {state.file} is the app's own database, which is never written to; "
            "name another file"
        )
    if not settings.web.bind.loopback and settings.web.token is None:
        problems.append(
            f"web.bind: {settings.web.bind} can be reached from other machines; "
            f"set {NOT_IN_FILE['web.token']}, or bind 127.0.0.1"
        )
    return problems


def _same_file(one: Path | None, other: Path | None) -> bool:
    if one is None or other is None:
        return False
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()
