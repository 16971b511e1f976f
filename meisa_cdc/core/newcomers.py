"""The fields of a contact that Meisa never had: nothing to compare them with, so all of them go.

A first load is nothing but such contacts. What is decided here is what the comparison of a contact
without a past comes to, without asking what there cannot be.
"""

from collections.abc import Iterable

from meisa_cdc.core.contact import EMAIL, SOURCE, SOURCES, UNSET, Contact, Staged
from meisa_cdc.core.fields import FieldChange, Reading
from meisa_cdc.core.mapping import Priority
from meisa_cdc.core.values import canonical_email

Seen = Iterable[tuple[Reading, Staged | None]]


def first_changes(seen: Seen) -> tuple[FieldChange, ...]:
    """Return what was seen of a contact that nothing is known of, tags left out.

    Raises InvalidValue where the address is none.
    """
    changes: list[FieldChange] = []
    new = tuple.__new__
    for reading, row in seen:
        if row is None or row.duplicate:
            continue
        values, errors, there = row.values, row.errors, row.row
        mapping = reading.mapping.name
        for column, name, missing, rest in reading.firsts:
            value = values.get(column) if there else missing
            # A field that Meisa never held needs no NULL.
            if value is None or value is UNSET or column in errors:
                continue
            if name == EMAIL:
                value = canonical_email(value)
            elif name == SOURCE and value not in SOURCES:
                continue
            # Past the constructor, since most of the time that a first load takes to compare goes
            # by here.
            changes.append(new(FieldChange, (name, mapping, None, value, *rest)))
    return tuple(changes)


def first_contact(
    external_id: str, changes: tuple[FieldChange, ...], *, first_load: bool, now: float
) -> Contact:
    """Return a contact with all that is to be sent of it; `now` in epoch seconds."""
    rank = int(Priority.BACKGROUND if first_load else Priority.URGENT)
    return Contact(
        external_id=external_id,
        first_load=first_load,
        pending={change.field: change.new for change in changes},
        novel=frozenset([change.field for change in changes if change.novel]),
        since=now if changes else None,
        rank=rank if changes else None,
    )
