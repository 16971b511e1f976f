"""The file that says what people would have configured in Meisa."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from meisa_cdc.sandbox.automations.reading import read_automations, read_conditions
from meisa_cdc.sandbox.automations.rules import Automation
from meisa_cdc.sandbox.automations.tables import Table
from meisa_cdc.sandbox.configured import (
    DEFAULT_EMAIL_TRIGGERS,
    DEFAULT_SEQUENCES,
    EmailTrigger,
    Sequence,
    SequenceStatus,
)
from meisa_cdc.sandbox.durations import parse_duration
from meisa_cdc.sandbox.errors import OptionError

#: What the API documents give as examples, as such a file.
EXAMPLES = Path(__file__).with_name("examples.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What such a file says; where it has no such table the defaults stand."""

    automations: tuple[Automation, ...] = ()
    sequences: tuple[Sequence, ...] = DEFAULT_SEQUENCES
    email_triggers: tuple[EmailTrigger, ...] = DEFAULT_EMAIL_TRIGGERS


def load_automations(path: Path) -> Configured:
    """What the TOML file configures. Raises OptionError naming file and place."""
    try:
        text = path.read_text(encoding="utf-8")
        return read_configured(text)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise OptionError(f"automations: {path} cannot be read: {why}") from error
    except OptionError as error:
        raise OptionError(f"{path}: {error}") from error


def read_configured(text: str) -> Configured:
    """What the TOML text configures. Raises OptionError naming the place."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"this is not TOML: {error}") from error
    table = Table("", content)
    given = table.has("sequences", "email_triggers")
    automations = read_automations(table.tables("automations"))
    sequences = tuple(map(_read_sequence, table.tables("sequences")))
    triggers = tuple(map(_read_email_trigger, table.tables("email_triggers")))
    table.finish()
    return Configured(
        automations=automations,
        sequences=sequences if "sequences" in given else DEFAULT_SEQUENCES,
        email_triggers=triggers if "email_triggers" in given else DEFAULT_EMAIL_TRIGGERS,
    )


def _read_sequence(table: Table) -> Sequence:
    usual = Sequence(slug="usual")
    steps = table.value("steps")
    sequence = Sequence(
        slug=table.text("slug"),
        name=table.text_or_none("name") or "",
        status=cast("SequenceStatus", table.word("status", ("active", "inactive"), "active")),
        steps=usual.steps if steps is None else _read_steps(table, steps),
    )
    table.finish()
    return sequence


def _read_steps(table: Table, steps: object) -> tuple[float, ...]:
    if not isinstance(steps, list):
        raise table.error('steps must be a list of durations, like ["0s", "1d"]')
    return tuple(_read_duration(table, "steps", step) for step in steps)


def _read_email_trigger(table: Table) -> EmailTrigger:
    usual = EmailTrigger(key="usual")
    # An empty sender is one that nobody has set up.
    sender = table.value_or("sender", usual.sender)
    if not isinstance(sender, str):
        raise table.error("sender must be an e-mail address, or empty for none")
    trigger = EmailTrigger(
        key=table.text("key"),
        active=table.flag("active", default=True),
        delay=_read_duration(table, "delay", table.value_or("delay", "0s")),
        sender=sender or None,
        subject=table.text_or_none("subject") or "",
        text=table.text_or_none("text") or "",
        conditions=read_conditions(table),
    )
    table.finish()
    return trigger


def _read_duration(table: Table, key: str, text: object) -> float:
    if not isinstance(text, str):
        raise table.error(f"{key} must be durations in quotes, like '30s'")
    try:
        return parse_duration(text)
    except OptionError as error:
        raise table.error(f"{key}: {error}") from error
