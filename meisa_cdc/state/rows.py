"""Contact <-> row: JSON as text, empty as NULL, and the columns that indexes need."""

from typing import Any, NamedTuple

import orjson

from meisa_cdc.core.contact import Contact, Fields, Late, Quarantined
from meisa_cdc.core.values import Value, email_key
from meisa_cdc.state.engine import AnyRow
from meisa_cdc.state.schema import contacts


class ContactRow(NamedTuple):
    """One row of `contacts`, column by column; booleans as SQLite hands them out count too."""

    id: int
    external_id: str
    present: bool
    first_load: bool
    invalid: str
    meisa_id: str
    rank: int | None
    since: float | None
    not_before: float
    ledger_email: str | None
    observed_email: str | None
    quarantine_code: str | None
    quarantined_at: float | None
    quarantine_payload: bytes | None
    quarantine_message: str | None
    in_doubt: str | None
    pending: str | None
    ledger: str | None
    riding: str | None
    due: float | None
    confirm_at: float | None
    marks: str | None


#: The columns of a quarantine where there is none.
NOT_HELD = None, None, None, None
COLUMNS = tuple(contacts.c[name] for name in ContactRow._fields)


def dumps(value: Any) -> str:
    """Return a value as JSON text."""
    return orjson.dumps(value).decode()


def loads(text: str) -> Any:
    """Return the value of a JSON text."""
    return orjson.loads(text)


def read_row(row: AnyRow) -> ContactRow:
    """Return a selected row of `COLUMNS`."""
    return ContactRow._make(row)


def contact_of(row: ContactRow) -> Contact:
    """Return the contact that a row holds."""
    marks = loads(row.marks) if row.marks else {}
    return Contact(
        ref=row.id,
        external_id=row.external_id,
        ledger=loads(row.ledger) if row.ledger else {},
        in_doubt=frozenset(loads(row.in_doubt)) if row.in_doubt else frozenset(),
        pending=loads(row.pending) if row.pending else {},
        riding=loads(row.riding) if row.riding else {},
        due=row.due,
        present=bool(row.present),
        invalid=row.invalid,
        meisa_id=row.meisa_id,
        first_load=bool(row.first_load),
        quarantine=_quarantine_of(row),
        since=row.since,
        rank=row.rank,
        late=_late_of(marks.get("late"), row.confirm_at),
        novel=frozenset(marks.get("novel", ())),
        inherits=frozenset(marks.get("inherits", ())),
        ours=frozenset(marks.get("ours", ())),
        tags=frozenset(marks.get("tags", ())),
    )


def row_of(contact: Contact, ref: int, before: ContactRow | None) -> ContactRow:
    """Return the row of a contact; what a contact does not carry comes from the row `before`.

    A contact that leaves quarantine is tried again at once.
    """
    held = contact.quarantine
    fresh = before is None or (before.quarantine_code is not None and held is None)
    code, held_since, payload, message = (
        NOT_HELD if held is None else (held.code, held.since, held.payload, held.message)
    )
    # By position: a name a column would cost more than all the rest.
    return ContactRow(
        ref,
        contact.external_id,
        contact.present,
        contact.first_load,
        contact.invalid,
        contact.meisa_id,
        contact.rank,
        contact.since,
        0.0 if before is None or fresh else before.not_before,
        contact.acknowledged_email_key or None,
        _observed_email(contact),
        code,
        held_since,
        payload,
        message,
        dumps(sorted(contact.in_doubt)) if contact.in_doubt else None,
        _fields(contact.pending),
        _fields(contact.ledger),
        _fields(contact.riding),
        contact.due,
        None if contact.late is None else contact.late.confirm_at,
        _marks(contact),
    )


def _marks(contact: Contact) -> str | None:
    if not (contact.late or contact.novel or contact.inherits or contact.ours or contact.tags):
        return None
    marks: dict[str, Any] = {}
    if contact.late is not None:
        marks["late"] = [sorted(contact.late.fields), contact.late.at]
    for name in ("novel", "inherits", "ours", "tags"):
        values: frozenset[str] = getattr(contact, name)
        if values:
            marks[name] = sorted(values)
    return dumps(marks)


def _late_of(mark: Any, confirm_at: float | None) -> Late | None:
    if mark is None:
        return None
    fields, at = mark
    return Late(fields=frozenset(fields), at=at, confirm_at=confirm_at)


def _quarantine_of(row: ContactRow) -> Quarantined | None:
    if row.quarantine_code is None:
        return None
    return Quarantined(
        code=row.quarantine_code,
        message=row.quarantine_message or "",
        payload=row.quarantine_payload or b"",
        since=row.quarantined_at or 0.0,
    )


def _fields(fields: Fields) -> str | None:
    return dumps(fields if type(fields) is dict else dict(fields)) if fields else None


def _observed_email(contact: Contact) -> str | None:
    if not contact.present:
        return None
    return _key_of(contact.email)


def _key_of(email: Value) -> str | None:
    return email_key(email) or None if isinstance(email, str) else None
