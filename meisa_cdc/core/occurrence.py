"""A row of an events, emails or sequences mapping -> what is done once at Meisa for it."""

import hashlib
from collections.abc import Mapping as Dict, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from meisa_cdc.core.contact import Fields
from meisa_cdc.core.errors import InvalidValue, MappingError
from meisa_cdc.core.keys import canonical_email, canonical_key, email_key
from meisa_cdc.core.mapping import EMAILS, EVENTS, SEQUENCES, Mapping, Priority
from meisa_cdc.core.values import Value, fingerprint

EVENT_ID, EVENT_NAME, OCCURRED_AT = "event_id", "event_name", "occurred_at"
EXTERNAL_ID, EMAIL = "external_id", "email"
EMAIL_ID, TRIGGER_KEY, TO_EMAIL = "email_id", "trigger_key", "to_email"
SLUG = "sequence_slug"
#: Columns that begin like this are fields of the recipient.
RECIPIENT = "recipient_"
#: How the requests of each kind are called in the history.
REQUESTS: Final[Dict[str, str]] = {
    EVENTS: "track_event",
    EMAILS: "trigger_email",
    SEQUENCES: "bulk_enroll",
}
#: Columns that each kind has to have.
REQUIRED: Final[Dict[str, tuple[str, ...]]] = {
    EVENTS: (EVENT_ID, EVENT_NAME),
    EMAILS: (EMAIL_ID, TRIGGER_KEY, TO_EMAIL),
    SEQUENCES: (SLUG, EMAIL),
}
#: Columns that are no further details of an occurrence.
_OWN: Final[Dict[str, frozenset[str]]] = {
    EVENTS: frozenset({EVENT_ID, EVENT_NAME, EXTERNAL_ID, EMAIL}),
    EMAILS: frozenset({EMAIL_ID, TRIGGER_KEY, TO_EMAIL}),
    SEQUENCES: frozenset({SLUG, EMAIL}),
}


class Status(StrEnum):
    """Where an occurrence stands."""

    #: It was there at the first run: taken as done, never sent.
    BASELINE = "baseline"
    #: It is sent when its turn comes.
    WAITING = "waiting"
    #: A request for it was about to leave; what came of it is not known yet.
    SENT = "sent"
    #: Meisa took it.
    DONE = "done"
    #: It did not happen, and need not: suppressed address, conditions that are not met.
    SKIPPED = "skipped"
    #: Meisa refused it.
    REJECTED = "rejected"
    #: Nobody knows whether it happened, and it must not happen twice: a person decides.
    PARKED = "parked"


#: What something is still to be done about, by us or by a person.
OPEN = (Status.WAITING, Status.SENT, Status.REJECTED, Status.PARKED)
#: What a person may settle.
SETTLED_BY_HAND = (Status.REJECTED, Status.PARKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """Something done once at Meisa: an event tracked, an e-mail triggered, an enrolment."""

    #: Its row in our state; None where it is new to us.
    ref: int | None = None
    mapping: str
    #: `events`, `emails` or `sequences`.
    kind: str
    #: What it is known by for ever: event_id, email_id, or slug and case-folded address.
    key: str
    #: The contact it is about; empty where the address names it.
    external_id: str = ""
    #: The address it is about; empty where external_id names the contact.
    email: str = ""
    #: Enrolments of one sequence share requests; empty for the other kinds.
    slug: str = ""
    #: The JSON body, for an enrolment that of a request of its own; empty once it is done.
    body: Dict[str, Value] = field(default_factory=dict)
    #: What it says, to recognise it when somebody approves it.
    fingerprint: bytes = b""
    rank: int = int(Priority.NORMAL)
    #: Epoch seconds at which it was first seen.
    since: float = 0.0
    #: Epoch seconds at which it happened in the app; None where the row does not say.
    occurred_at: float | None = None
    #: Whether it is tried again although it may have happened already.
    at_least_once: bool = False
    status: Status = Status.WAITING
    #: Epoch seconds before which it is not tried; of what is sent: when it will be given up.
    not_before: float = 0.0
    #: Epoch seconds of the first try that may have reached Meisa; None: none did.
    tried_at: float | None = None
    #: Failed tries in a row.
    attempts: int = 0
    #: What it waits for that no request of ours brings about; empty: for its turn alone.
    blocked: str = ""
    #: What came of it last, as a delivery's code and message say it.
    code: str = ""
    message: str = ""

    @property
    def who(self) -> str:
        """Whom it is about, for people."""
        return self.external_id or self.email


def check_columns(mapping: Mapping, columns: Sequence[str]) -> None:
    """Raise MappingError unless these columns can be an events, emails or sequences mapping's."""
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise MappingError(f"the column {repeated[0]!r} occurs twice", mapping=mapping.name)
    for column in REQUIRED[mapping.kind]:
        if column not in columns:
            needed = ", ".join(REQUIRED[mapping.kind])
            raise MappingError(
                f"no column is called {column}",
                mapping=mapping.name,
                hint=f"A mapping in {mapping.kind}/ needs {needed}.",
            )
    if mapping.kind == EVENTS and not {EXTERNAL_ID, EMAIL} & set(columns):
        raise MappingError(
            f"there is neither {EXTERNAL_ID} nor {EMAIL}",
            mapping=mapping.name,
            hint="One of them has to say whose event it is.",
        )
    further = [column for column in columns if column not in _OWN[SEQUENCES]]
    if mapping.kind == SEQUENCES and further:
        raise MappingError(
            f"an enrolment has no place for the column {further[0]!r}",
            mapping=mapping.name,
            hint=f"Keep {SLUG} and {EMAIL}, and put the rest into a mapping of contacts.",
        )
    if mapping.kind == EMAILS and RECIPIENT in columns:
        raise MappingError(
            f"the column {RECIPIENT!r} names no field",
            mapping=mapping.name,
            hint="Write recipient_first_name for the recipient's first_name.",
        )


def key_of(kind: str, row: Dict[str, object]) -> str:
    """Return what a row's occurrence is known by; `row` has values as the driver gave them.

    Raises InvalidValue where it has no usable key.
    """
    if kind == SEQUENCES:
        slug = _named(row.get(SLUG), SLUG)
        # An address has no blanks, so that the last one divides the two.
        return canonical_key(f"{slug} {email_key(canonical_email(row.get(EMAIL)))}")
    return canonical_key(row.get(EVENT_ID if kind == EVENTS else EMAIL_ID))


def occurrence_of(mapping: Mapping, key: str, values: Fields, now: float) -> Occurrence:
    """Return the occurrence of a row in canonical values. Raises InvalidValue."""
    blank = Occurrence(
        mapping=mapping.name,
        kind=mapping.kind,
        key=key,
        rank=int(mapping.priority),
        since=now,
        at_least_once=mapping.at_least_once,
    )
    made = {EVENTS: _event, EMAILS: _email, SEQUENCES: _enrolment}[mapping.kind](blank, values)
    return replace(made, fingerprint=fingerprint(made.body))


def _event(blank: Occurrence, values: Fields) -> Occurrence:
    body: dict[str, Value] = {EVENT_NAME: _named(values.get(EVENT_NAME), EVENT_NAME)}
    external_id = email = ""
    if values.get(EXTERNAL_ID) is not None:
        body[EXTERNAL_ID] = external_id = canonical_key(values[EXTERNAL_ID])
    elif values.get(EMAIL) is not None:
        body[EMAIL] = email = canonical_email(values[EMAIL])
    else:
        raise InvalidValue("contact_missing", f"{EXTERNAL_ID} and {EMAIL} are both NULL")
    return replace(
        blank,
        body=_with(body, properties=_details(EVENTS, values)),
        external_id=external_id,
        email=email,
        occurred_at=_moment(values.get(OCCURRED_AT)),
    )


def _email(blank: Occurrence, values: Fields) -> Occurrence:
    to_email = canonical_email(values.get(TO_EMAIL))
    recipient: dict[str, Value] = {}
    variables: dict[str, Value] = {}
    for name, value in _details(EMAILS, values).items():
        if name.startswith(RECIPIENT):
            recipient[name.removeprefix(RECIPIENT)] = value
        else:
            variables[name] = value
    body: dict[str, Value] = {
        TRIGGER_KEY: _named(values.get(TRIGGER_KEY), TRIGGER_KEY),
        TO_EMAIL: to_email,
        "idempotency_key": idempotency_key(blank.mapping, blank.key),
    }
    return replace(
        blank, body=_with(body, variables=variables, recipient=recipient), email=to_email
    )


def _enrolment(blank: Occurrence, values: Fields) -> Occurrence:
    slug, email = _named(values.get(SLUG), SLUG), canonical_email(values.get(EMAIL))
    return replace(blank, body={SLUG: slug, "emails": [email]}, email=email, slug=slug)


def idempotency_key(mapping: str, key: str) -> str:
    """Return what Meisa knows one e-mail by: the same for every try, of every process."""
    digest = hashlib.blake2b(f"{mapping}\n{key}".encode(), digest_size=16).hexdigest()
    return f"meisa-cdc-{digest}"


def bulk_body(occurrences: Sequence[Occurrence]) -> dict[str, Value]:
    """Return the body of one request for enrolments in the same sequence, each address once."""
    addresses: dict[str, Value] = {}
    for each in occurrences:
        addresses.setdefault(email_key(each.email), each.email)
    return {SLUG: occurrences[0].slug, "emails": list(addresses.values())}


def _details(kind: str, values: Fields) -> dict[str, Value]:
    """Return the further columns; NULL is left out, since no document gives it a meaning."""
    return {
        name: values[name]
        for name in sorted(values)
        if name not in _OWN[kind] and values[name] is not None
    }


def _with(body: dict[str, Value], **parts: dict[str, Value]) -> dict[str, Value]:
    return {**body, **{name: {**part} for name, part in parts.items() if part}}


def _named(value: object, column: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidValue(f"{column}_missing", f"{column} is no text, or blank")
    return value.strip()


def _moment(value: Value) -> float | None:
    """Return when it happened, where canonical text says so; it only decides the order."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.timestamp() if moment is not None and moment.tzinfo is not None else None
