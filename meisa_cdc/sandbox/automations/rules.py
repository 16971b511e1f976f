"""What an automation consists of: a trigger to wait for, conditions, actions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from meisa_cdc.sandbox.triggers import TriggerKind

Operator = Literal[
    "equals",
    "not_equals",
    "one_of",
    "contains",
    "above",
    "at_least",
    "below",
    "at_most",
    "exists",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What conditions can look at in a contact."""

    #: values by path: `email`, `status`, `custom_fields.plan`
    fields: Mapping[str, object]
    #: names of the tags it carries
    tags: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCondition:
    """A field's value stands in this relation to another."""

    #: path of the field
    field: str
    operator: Operator
    #: what it is compared with; a list for `one_of`, true or false for `exists`
    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class TagCondition:
    """The contact carries a tag, or does not."""

    tag: str
    carried: bool = True


Condition: TypeAlias = FieldCondition | TagCondition


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The trigger an automation waits for."""

    kind: TriggerKind
    #: the tag, event or sequence it must be about; None: any
    subject: str | None = None
    #: of contact_updated: path of a field that must be among the changed ones; None: any
    field: str | None = None
    #: of `field`: values it must have changed from and to, one of each; None: any
    before: tuple[object, ...] | None = None
    after: tuple[object, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddTag:
    """Add a tag, creating it if need be."""

    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveTag:
    """Take a tag off."""

    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetField:
    """Set a custom field."""

    #: key under custom_fields
    name: str
    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Enroll:
    """Enrol in a sequence."""

    sequence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unenroll:
    """Take out of a sequence."""

    sequence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Tell the team something; the sandbox only records it."""

    text: str


Action: TypeAlias = AddTag | RemoveTag | SetField | Enroll | Unenroll | Notify


@dataclass(frozen=True, slots=True, kw_only=True)
class Automation:
    """One automation."""

    #: unique among all
    name: str
    when: When
    #: all must hold
    conditions: tuple[Condition, ...] = ()
    #: in this order
    actions: tuple[Action, ...]
