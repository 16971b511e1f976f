"""What config() may say, and what it means."""

from collections.abc import Iterable, Mapping as Dict
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Literal, cast

from meisa_cdc.core.durations import duration, share
from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.mapping import (
    CONTACTS,
    EMAILS,
    EVENTS,
    KEEP,
    ONCE,
    PRIORITIES,
    FieldSettings,
    Priority,
)
from meisa_cdc.core.policy import WITH_OTHERS, MinChange, Policy
from meisa_cdc.core.values import FIELD_TYPES, FieldType, Value, canonical
from meisa_cdc.source.language import Refused

CONFIG_KEYS = ("every", "cron", "priority", "capture", "timeout", "enabled", "fields")
#: Of mappings whose rows are done once; those of events have one more.
ONCE_KEYS = ("every", "cron", "priority", "timeout", "enabled", "backfill")
EVENT_KEYS = (*ONCE_KEYS, "delivery")
AT_LEAST_ONCE = "at_least_once"
DELIVERIES = ("at_most_once", AT_LEAST_ONCE)
FIELD_KEYS = (
    "type",
    "missing",
    "null",
    "priority",
    "send",
    "at_least_every",
    "thresholds",
    "min_change",
)
CAPTURES = ("auto", "scan", "checksum", "watermark", "log")
SENDS = ("always", "with_others")
CRON_FIELDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What one mapping's config() says, checked."""

    every: float | None = None
    cron: str = ""
    priority: Priority = Priority.NORMAL
    capture: str = "auto"
    timeout: float | None = None
    enabled: bool = True
    at_least_once: bool = False
    backfill: bool = False
    fields: Dict[str, FieldSettings]


def declared(config: Dict[str, object], kind: str = CONTACTS) -> Declared:
    """Return what the arguments of config() mean in a mapping of this kind.

    Raises Refused for what they must not be.
    """
    for key in config:
        _known(key, _keys(kind), "setting")
    if "every" in config and "cron" in config:
        raise Refused("every and cron exclude each other", hint="Keep one of them.")
    return Declared(
        every=_seconds(config, "every"),
        cron=_cron(config["cron"]) if "cron" in config else "",
        priority=_priority(config.get("priority", "urgent" if kind == EMAILS else "normal")),
        capture=_choice(config.get("capture", "auto"), CAPTURES, "capture"),
        timeout=_seconds(config, "timeout"),
        enabled=_boolean(config.get("enabled", True), "enabled"),
        at_least_once=_delivery(config) == AT_LEAST_ONCE,
        backfill=_boolean(config.get("backfill", False), "backfill"),
        fields=_fields(config.get("fields", {})),
    )


def _keys(kind: str) -> tuple[str, ...]:
    if kind == EVENTS:
        return EVENT_KEYS
    return ONCE_KEYS if kind in ONCE else CONFIG_KEYS


def _delivery(config: Dict[str, object]) -> str:
    return _choice(config.get("delivery", DELIVERIES[0]), DELIVERIES, "delivery")


def nearest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint that names the nearest known name."""
    near = get_close_matches(name.lower(), list(known), 1)
    return f"Did you mean {near[0]!r}?" if near else otherwise


def _known(name: object, known: tuple[str, ...], what: str) -> None:
    if name not in known:
        hint = nearest(str(name), known, f"There are {', '.join(known)}.")
        raise Refused(f"there is no {what} {name!r}", hint=hint)


def _choice(value: object, known: Iterable[str], what: str) -> str:
    choices = tuple(known)
    if not isinstance(value, str) or value not in choices:
        hint = nearest(str(value), choices, f"It is one of {', '.join(choices)}.")
        raise Refused(f"{what} cannot be {value!r}", hint=hint)
    return value


def _seconds(config: Dict[Any, object], key: str, what: str = "") -> float | None:
    if key not in config:
        return None
    value = config[key]
    try:
        seconds = duration(value) if isinstance(value, str) else 0.0
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise Refused(
            f"{what or key} cannot be {value!r}", hint="Write a duration: '30s', '5m', '1h'."
        )
    return seconds


def _cron(value: object) -> str:
    from cronsim import CronSim, CronSimError

    text = value.strip() if isinstance(value, str) else ""
    hint = "Write five fields: minute, hour, day, month, weekday, as in '0 9 * * MON'."
    if len(text.split()) != CRON_FIELDS:
        raise Refused(f"cron cannot be {value!r}", hint=hint)
    try:
        # Only its grammar is looked at, so any start will do.
        CronSim(text, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise Refused(f"cron cannot be {value!r}: {error}", hint=hint) from None
    return text


def _priority(value: object) -> Priority:
    return PRIORITIES[_choice(value, PRIORITIES, "priority")]


def _boolean(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"{what} cannot be {value!r}", hint="It is true or false.")
    return value


def _fields(value: object) -> dict[str, FieldSettings]:
    if not isinstance(value, dict):
        raise Refused("fields takes settings by column", hint="Write fields={'plan': {…}}.")
    return {str(column): _field(str(column), settings) for column, settings in value.items()}


def _field(column: str, settings: object) -> FieldSettings:
    if not isinstance(settings, dict):
        raise Refused(
            f"the settings of {column!r} are no dict",
            hint=f"Write fields={{{column!r}: {{'missing': …}}}}.",
        )
    for key in settings:
        _known(key, FIELD_KEYS, f"field setting of {column!r}")
    kind = _optional(settings, "type", FIELD_TYPES, column)
    null = _optional(settings, "null", ("send", "skip"), column)
    own = _optional(settings, "priority", PRIORITIES, column)
    missing = settings.get("missing")
    return FieldSettings(
        type=cast("FieldType | None", kind),
        missing=None if missing in (KEEP, "null") else _constant(missing, column),
        keep=missing == KEEP,
        null=cast('Literal["send", "skip"] | None', null),
        priority=None if own is None else PRIORITIES[own],
        policy=_policy(column, settings),
    )


def _policy(column: str, settings: Dict[object, object]) -> Policy:
    send = _optional(settings, "send", SENDS, column) or "always"
    every = _seconds(settings, "at_least_every", f"at_least_every of {column!r}")
    if every is not None and send != WITH_OTHERS:
        raise Refused(
            f"at_least_every of {column!r} needs send='with_others'",
            hint="A field that is always sent waits for nothing.",
        )
    if send == WITH_OTHERS and {"thresholds", "min_change"} & set(settings):
        raise Refused(
            f"{column!r} rides along, so thresholds and min_change say nothing",
            hint="Remove them, or send='with_others'.",
        )
    return Policy(
        send=cast('Literal["always", "with_others"]', send),
        at_least_every=every,
        thresholds=_thresholds(column, settings.get("thresholds", ())),
        min_change=_min_change(column, settings.get("min_change")),
    )


def _thresholds(column: str, value: object) -> tuple[float, ...]:
    numbers = value if isinstance(value, list | tuple) else None
    if numbers is None or not all(_is_number(each) for each in numbers):
        raise Refused(
            f"thresholds of {column!r} cannot be {value!r}", hint="Write a list: [1, 5, 10]."
        )
    return tuple(sorted(float(each) for each in numbers))


def _min_change(column: str, value: object) -> MinChange | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return MinChange(amount=share(value), relative=True)
        except ValueError:
            value = None
    if not _is_number(value) or not isinstance(value, int | float) or value < 0:
        raise Refused(
            f"min_change of {column!r} is neither a number nor a share",
            hint="Write 5 for five more or less, or '10%' of the value sent last.",
        )
    return MinChange(amount=float(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _optional(
    settings: Dict[object, object], key: str, known: Iterable[str], column: str
) -> str | None:
    if key not in settings:
        return None
    return _choice(settings[key], known, f"{key} of {column!r}")


def _constant(value: object, column: str) -> Value:
    if isinstance(value, dict):
        if set(value) != {"value"}:
            raise Refused(
                f"missing of {column!r} cannot be {value!r}",
                hint="Write {'value': …} for a constant that is a dict.",
            )
        value = value["value"]
    try:
        return canonical(value, None, UTC)
    except InvalidValue as error:
        raise Refused(f"missing of {column!r} cannot be {value!r}: {error.message}") from None
