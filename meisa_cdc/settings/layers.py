"""Where settings come from: each place is read into (dotted key -> value and origin)."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.settings.names import (
    ENVIRONMENT,
    FILES,
    GROUPS,
    KEYS,
    NOT_IN_FILE,
    NOT_YET,
    PREFIX,
    VARIABLES,
    nearest_key,
    nearest_variable,
    ruled,
)
from meisa_cdc.settings.secret import Secret

PLACE = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
#: What people call the API key when they try to put it into the file.
KEY_NAMES = ("meisa.api_key", "api_key", "meisa.key", "meisa_api_key", "meisa.apikey", "apikey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one place says."""

    #: Dotted key -> the value as it was written there.
    values: dict[str, Any] = field(default_factory=dict)
    #: Dotted key -> how the user knows the place: `meisa-cdc.toml: meisa.timeout`.
    origins: dict[str, str] = field(default_factory=dict)
    #: What is wrong already, one line each.
    problems: list[str] = field(default_factory=list)

    def put(self, key: str, value: object, origin: str) -> None:
        """Take a value."""
        self.values[key] = value
        self.origins[key] = origin


def from_options(overrides: Mapping[str, str]) -> Layer:
    """Read what command-line options set. Raises KeyError for a key that is none."""
    layer = Layer()
    for key, value in overrides.items():
        if key not in KEYS:
            raise KeyError(key)
        layer.put(key, value, f"command line: {key}")
    return layer


def from_environment(
    environ: Mapping[str, str], base: Path, seen: Callable[[str], object]
) -> Layer:
    """Read our environment variables; empty ones count as not set.

    `seen` is told every secret when it is read.
    """
    layer = Layer()
    for name, value in sorted(environ.items()):
        if not value.strip():
            continue
        if name in ENVIRONMENT:
            key = ENVIRONMENT[name]
            secret = Secret(name=name, value=value, seen=seen) if key in NOT_IN_FILE else value
            layer.put(key, secret, name)
        elif name in FILES:
            _put_file(layer, name, environ, base, seen)
        elif name.upper().startswith(PREFIX):
            layer.problems.append(_unknown_variable(name))
    return layer


def _put_file(
    layer: Layer,
    name: str,
    environ: Mapping[str, str],
    base: Path,
    seen: Callable[[str], object],
) -> None:
    plain = name.removesuffix("_FILE")
    if environ.get(plain, "").strip():
        layer.problems.append(f"{plain} and {name} are both set; unset one of them")
        return
    layer.put(FILES[name], Secret(name=name, file=base / environ[name].strip(), seen=seen), name)


def _unknown_variable(name: str) -> str:
    if name in {ruled(key) for key in NOT_YET}:
        return f"{name} is not supported yet; unset it"
    meant = nearest_variable(name)
    return f"{name} is not a setting" + (f"; did you mean {meant}?" if meant else "")


def read_env_file(path: Path, shown: str) -> dict[str, str]:
    """Return the variables of a `.env` file, called `shown` in messages.

    Raises SettingsError where it is missing or not made of NAME=value.
    """
    values: dict[str, str] = {}
    for binding in parse_stream(StringIO(_text(path, shown))):
        if binding.error:
            raise SettingsError(
                f"{shown}:{binding.original.line}: this is not NAME=value.",
                hint="Quote values that hold blanks or quotes.",
            )
        if binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return values


def read_file(path: Path, shown: str) -> Layer:
    """Read the settings file, called `shown` in messages.

    Raises SettingsError where it is missing or not TOML.
    """
    text = _text(path, shown)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = PLACE.match(str(error))
        line = (found and found["line"]) or len(text.splitlines()) or 1
        what = found["what"] if found else str(error)
        raise SettingsError(
            f"{shown}:{line}: {what}.", hint='Texts need quotes: key = "value".'
        ) from None
    layer = Layer()
    for key, value in _flat(document, layer, shown):
        _put_key(layer, shown, key, value)
    return layer


def _flat(document: dict[str, Any], layer: Layer, file: str) -> Iterator[tuple[str, object]]:
    for name, value in document.items():
        if name in GROUPS or name == VARIABLES:
            if not isinstance(value, dict):
                layer.problems.append(f"{file}: {name} is a group of settings; write [{name}]")
            elif name == VARIABLES:
                yield name, value
            else:
                yield from ((f"{name}.{inner}", each) for inner, each in value.items())
        else:
            yield name, value


def _put_key(layer: Layer, file: str, key: str, value: object) -> None:
    place = "meisa.api_key" if key.lower() in KEY_NAMES else key
    if place in NOT_IN_FILE:
        layer.problems.append(
            f"{file}: {key} does not belong in a file that is passed around; "
            f"remove it and set {NOT_IN_FILE[place]}"
        )
    elif key in KEYS or key == VARIABLES:
        layer.put(key, value, f"{file}: {key}")
    elif key in NOT_YET:
        layer.problems.append(f"{file}: {key} is not supported yet; remove it")
    else:
        meant = nearest_key(key)
        suggestion = f"; did you mean {meant}?" if meant else ""
        layer.problems.append(f"{file}: {key} is not a setting{suggestion}")


def _text(path: Path, shown: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SettingsError(f"{shown} does not exist.") from None
    except OSError as error:
        raise SettingsError(f"{shown} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{shown} is not UTF-8 text.") from error
