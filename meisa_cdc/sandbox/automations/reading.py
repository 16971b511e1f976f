"""Automations from TOML tables, with every mistake named by its place."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import cast, get_args

from meisa_cdc.sandbox.automations.rules import (
    Action,
    AddTag,
    Automation,
    Condition,
    Enroll,
    FieldCondition,
    Notify,
    Operator,
    RemoveTag,
    SetField,
    TagCondition,
    Unenroll,
    When,
)
from meisa_cdc.sandbox.automations.tables import Table
from meisa_cdc.sandbox.errors import OptionError
from meisa_cdc.sandbox.triggers import KINDS, TriggerKind

#: Fields of a contact that conditions can look at, custom fields aside.
_ATTRIBUTES = (
    "email",
    "external_id",
    "first_name",
    "last_name",
    "display_name",
    "source",
    "status",
)
_CUSTOM = "custom_fields."

#: Of each kind of trigger, the key that says what it must be about.
_SUBJECTS: Mapping[str, str] = {
    "tag_added": "tag",
    "tag_removed": "tag",
    "custom_event": "event_name",
    "sequence_enrolled": "sequence",
}
_OPERATORS: tuple[Operator, ...] = get_args(Operator)


def read_automations(tables: Iterable[Table]) -> tuple[Automation, ...]:
    """The automations of these tables, in order. Raises OptionError."""
    automations = tuple(map(_read_automation, tables))
    names = Counter(automation.name for automation in automations)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise OptionError(f"automations: there are two with the name {twice!r}")
    return automations


def read_conditions(table: Table) -> tuple[Condition, ...]:
    """The list under `conditions`. Raises OptionError."""
    return tuple(map(_read_condition, table.tables("conditions")))


def _read_automation(table: Table) -> Automation:
    name = table.text("name")
    when = _read_when(table)
    conditions = read_conditions(table)
    actions = tuple(map(_read_action, table.tables("actions")))
    if not actions:
        raise table.error("actions is missing: an automation does at least one thing")
    table.finish()
    return Automation(name=name, when=when, conditions=conditions, actions=actions)


def _read_when(table: Table) -> When:
    kind = cast("TriggerKind", table.word("trigger", KINDS))
    if kind == "contact_updated":
        return _read_change(table)
    if kind in _SUBJECTS:
        return When(kind=kind, subject=table.text_or_none(_SUBJECTS[kind]))
    return When(kind=kind)


def _read_change(table: Table) -> When:
    field = table.text_or_none("field")
    if field is None:
        if table.has("from", "to"):
            raise table.error("from and to need a field whose values they are")
        return When(kind="contact_updated")
    return When(
        kind="contact_updated",
        field=_path(table, field),
        before=_read_values(table, "from"),
        after=_read_values(table, "to"),
    )


def _read_values(table: Table, key: str) -> tuple[object, ...] | None:
    value = table.value(key)
    if value is None:
        return None
    return tuple(value) if isinstance(value, list) else (value,)


def _read_condition(table: Table) -> Condition:
    condition: Condition
    if table.has("tag"):
        condition = TagCondition(tag=table.text("tag"), carried=table.flag("carried", default=True))
    elif table.has("field"):
        condition = _read_field_condition(table)
    else:
        raise table.error("a condition needs a field or a tag")
    table.finish()
    return condition


def _read_field_condition(table: Table) -> FieldCondition:
    path = _path(table, table.text("field"))
    chosen = table.has(*_OPERATORS)
    if len(chosen) != 1:
        raise table.error(f"a condition needs exactly one of {', '.join(_OPERATORS)}")
    operator = cast("Operator", chosen[0])
    value = table.value(operator)
    if operator == "one_of" and not isinstance(value, list):
        raise table.error("one_of must be a list")
    if operator == "exists" and not isinstance(value, bool):
        raise table.error("exists must be true or false")
    return FieldCondition(field=path, operator=operator, value=value)


def _read_action(table: Table) -> Action:
    chosen = table.has(*_ACTIONS)
    if len(chosen) != 1:
        raise table.error(f"an action is exactly one of {', '.join(_ACTIONS)}")
    action = _ACTIONS[chosen[0]](table)
    table.finish()
    return action


def _read_set_field(table: Table) -> Action:
    path = table.text("set_field")
    name = path.removeprefix(_CUSTOM)
    if name in ("", path):
        raise table.error("set_field must be a custom field, like custom_fields.segment")
    value = table.value("to")
    if value is None:
        raise table.error("set_field needs the value it is set to, as `to`")
    return SetField(name=name, value=value)


_ACTIONS: Mapping[str, Callable[[Table], Action]] = {
    "add_tag": lambda table: AddTag(tag=table.text("add_tag")),
    "remove_tag": lambda table: RemoveTag(tag=table.text("remove_tag")),
    "set_field": _read_set_field,
    "enroll": lambda table: Enroll(sequence=table.text("enroll")),
    "unenroll": lambda table: Unenroll(sequence=table.text("unenroll")),
    "notify": lambda table: Notify(text=table.text("notify")),
}


def _path(table: Table, path: str) -> str:
    if path in _ATTRIBUTES or (path.startswith(_CUSTOM) and path != _CUSTOM):
        return path
    raise table.error(
        f"there is no field {path!r}; there are {', '.join(_ATTRIBUTES)},"
        " and custom_fields.NAME for any other"
    )
