"""Whether an automation reacts to a trigger. Pure: values in, a verdict out."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from meisa_cdc.sandbox.automations.rules import (
    Automation,
    Condition,
    Facts,
    FieldCondition,
    Operator,
    When,
)
from meisa_cdc.sandbox.triggers import Trigger
from meisa_cdc.sandbox.values import same_json


def reacts(automation: Automation, trigger: Trigger, contact: Facts) -> bool:
    """Whether it is the trigger waited for and every condition holds for the contact as it is."""
    return _is_awaited(automation.when, trigger) and all_hold(automation.conditions, contact)


def is_looping(automation: Automation, trigger: Trigger) -> bool:
    """Whether the automation itself led to this trigger, at however many removes.

    One that reacted to what it caused could go on for ever; since it does not, a chain of
    automations is never longer than there are automations.
    """
    return automation.name in trigger.caused_by


def all_hold(conditions: Iterable[Condition], contact: Facts) -> bool:
    """Whether every condition holds for the contact."""
    return all(_holds(condition, contact) for condition in conditions)


def _is_awaited(when: When, trigger: Trigger) -> bool:
    if when.kind != trigger.kind or when.subject not in (None, trigger.subject):
        return False
    if when.field is None:
        return True
    if when.field not in trigger.changes:
        return False
    before, after = trigger.changes[when.field]
    return _is_among(before, when.before) and _is_among(after, when.after)


def _is_among(value: object, wanted: Iterable[object] | None) -> bool:
    return wanted is None or any(same_json(value, each) for each in wanted)


def _holds(condition: Condition, contact: Facts) -> bool:
    if isinstance(condition, FieldCondition):
        value = contact.fields.get(condition.field)
        return _OPERATORS[condition.operator](value, condition.value)
    return (condition.tag in contact.tags) == condition.carried


def _contains(value: object, part: object) -> bool:
    if isinstance(value, str) and isinstance(part, str):
        return part in value
    return isinstance(value, list) and _is_among(part, value)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
    """The comparison where two values have an order at all: two numbers, or two texts."""

    def holds(value: object, bound: object) -> bool:
        for kinds in ((int, float), (str,)):
            if isinstance(value, kinds) and isinstance(bound, kinds):
                return not isinstance(value, bool) and compare(value, bound)
        return False

    return holds


_OPERATORS: Mapping[Operator, Callable[[object, Any], bool]] = {
    "equals": same_json,
    "not_equals": lambda value, other: not same_json(value, other),
    "one_of": _is_among,
    "contains": _contains,
    "above": _ordered(lambda value, bound: value > bound),
    "at_least": _ordered(lambda value, bound: value >= bound),
    "below": _ordered(lambda value, bound: value < bound),
    "at_most": _ordered(lambda value, bound: value <= bound),
    "exists": lambda value, wanted: (value is not None) == wanted,
}
