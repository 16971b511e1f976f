"""The fields of a contact that Meisa never had: nothing to compare them with, so all of them go.

A first load is nothing but such contacts. What is decided here is what the comparison of a contact
without a past comes to, without asking what there cannot be.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from meisa_cdc.core.contact import EMAIL, SOURCE, SOURCES, UNSET, Contact, Staged, field_of
from meisa_cdc.core.fields import FieldChange, Reading
from meisa_cdc.core.keys import trimmed
from meisa_cdc.core.mapping import Priority
from meisa_cdc.core.values import Value

Seen = Iterable[tuple[Reading, Staged | None]]
#: What one mapping brings: its reading, and the values by field.
First: TypeAlias = tuple[Reading, dict[str, Value]]


def first_fields(seen: Seen) -> tuple[First, ...]:
    """Return what was seen of a contact that nothing is known of, tags left out.

    Its address is known to be usable.
    """
    firsts: list[First] = []
    for reading, row in seen:
        if row is None or row.duplicate:
            continue
        fields = _brought(reading, row) if row.row else _without_row(reading)
        if SOURCE in fields and fields[SOURCE] not in SOURCES:
            del fields[SOURCE]
        if fields:
            firsts.append((reading, fields))
    return tuple(firsts)


def _brought(reading: Reading, row: Staged) -> dict[str, Value]:
    value_of = row.values.get
    # A field that Meisa never held needs no NULL.
    fields: dict[str, Value] = {
        name: value for column, name in reading.named if (value := value_of(column)) is not None
    }
    for column in row.errors:
        fields.pop(field_of(column), None)
    if EMAIL in fields:
        fields[EMAIL] = trimmed(fields[EMAIL])
    return fields


def _without_row(reading: Reading) -> dict[str, Value]:
    return {
        each.name: each.missing
        for each in reading.fields
        if each.missing is not None and each.missing is not UNSET
    }


def told(firsts: Iterable[First]) -> tuple[FieldChange, ...]:
    """Return what mappings bring as changes, one a field."""
    return tuple(
        FieldChange(
            field=each.name,
            mapping=reading.mapping.name,
            old=None,
            new=fields[each.name],
            priority=each.priority,
            new_in_this_pass=True,
            at_least_every=each.policy.at_least_every,
            novel=each.name in reading.introduced,
        )
        for reading, fields in firsts
        for each in reading.fields
        if each.name in fields
    )


def first_contact(
    external_id: str, firsts: Sequence[First], *, first_load: bool, now: float
) -> Contact:
    """Return a contact with all that is to be sent of it; `now` in epoch seconds."""
    pending: dict[str, Value] = {}
    novel: frozenset[str] = frozenset()
    for reading, fields in firsts:
        pending.update(fields)
        if reading.introduced:
            novel |= reading.introduced & fields.keys()
    rank = int(Priority.BACKGROUND if first_load else Priority.URGENT)
    return Contact(
        external_id=external_id,
        first_load=first_load,
        pending=pending,
        novel=novel,
        since=now if firsts else None,
        rank=rank if firsts else None,
    )
