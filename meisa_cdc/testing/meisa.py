"""A Meisa in memory whose answers a test writes the script for."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

from meisa_cdc.core.outcome import Answer
from meisa_cdc.core.values import email_key
from meisa_cdc.ports import Clock, Ping, SuppressionList
from meisa_cdc.testing.once import Deeds

#: What may become of one request. `accept` as if nothing were scripted; `timeout_applied` and
#: `timeout_lost` end without an answer, after and without an effect; `late` takes effect only at
#: `apply_late`; `reset` breaks the connection without an effect; `not_sent` never leaves.
Fault = Literal["accept", "timeout_applied", "timeout_lost", "late", "reset", "not_sent"]
#: A fault, a status that refuses, or an answer as it is to come, without an effect.
Scripted: TypeAlias = Fault | int | Answer

_ERRORS: Mapping[str, str] = {
    "timeout_applied": "timed out",
    "timeout_lost": "timed out",
    "late": "timed out",
    "reset": "connection reset",
}
_NAMES = ("first_name", "last_name", "display_name")
CREATED, SUCCESS, NOT_FOUND, CONFLICT = 201, 200, 404, 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request as it arrived, or was meant to."""

    #: Epoch seconds of its start.
    at: float
    body: Mapping[str, Any]
    #: Status of its answer; 0 where none came.
    status: int


@dataclass(slots=True, kw_only=True)
class Held:
    """One contact over there."""

    id: str
    email: str
    external_id: str | None
    source: str
    names: dict[str, Any] = field(default_factory=dict)
    custom_fields: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the contact as answers show it."""
        return {
            "id": self.id,
            "email": self.email,
            "external_id": self.external_id,
            "source": self.source,
            **dict.fromkeys(_NAMES, ""),
            **self.names,
            "custom_fields": dict(self.custom_fields),
            "tags": [{"id": f"tag-{name}", "name": name} for name in self.tags],
        }

    def fields(self) -> dict[str, Any]:
        """Return what it holds by field name, as our ledger names fields."""
        custom = {f"custom_fields.{name}": value for name, value in self.custom_fields.items()}
        tags = {"tag_names": list(self.tags)} if self.tags else {}
        return {"email": self.email, **self.names, **custom, **tags}


class ScriptedMeisa:
    """`ports.Meisa` in memory: matches, creates and merges as the API's documents say.

    A contact is matched by external_id, else by e-mail; custom fields are merged key by key,
    tags added, the source kept. `answers` is consumed one a request; once it is empty every
    request is accepted.
    """

    def __init__(self, clock: Clock, answers: Sequence[Scripted] = ()) -> None:
        self._clock = clock
        self.answers: deque[Scripted] = deque(answers)
        #: Every upsert in order.
        self.requests: list[Sent] = []
        #: What Meisa holds, by its own id.
        self.contacts: dict[str, Held] = {}
        #: Requests that timed out and have yet to take effect, oldest first.
        self.late: list[Mapping[str, Any]] = []
        #: Seconds from the start of a request to its answer.
        self.latency = 0.0
        #: What `ping` answers.
        self.key = Ping(
            product="sandbox",
            product_name="Sandbox",
            environment="test",
            scopes=("contacts:read", "contacts:write"),
            per_minute=60,
            per_hour=1000,
        )
        #: What `sequence_statuses` answers.
        self.sequences: dict[str, str] = {}
        #: What `unsubscribed_emails` answers.
        self.suppressed = SuppressionList(as_of=clock.now(), emails=frozenset())
        #: What was done once: events, e-mails, enrolments.
        self.deeds = Deeds(clock, self._knows)
        #: Those of them that timed out and have yet to take effect, oldest first.
        self.late_deeds: list[Callable[[], Answer]] = []
        self._made = 0
        self._lock = threading.Lock()

    def ping(self) -> Ping:
        """Tell about the key."""
        return self.key

    def sequence_statuses(self) -> dict[str, str]:
        """Return the sequences."""
        return self.sequences

    def unsubscribed_emails(self) -> SuppressionList:
        """Return the list."""
        return self.suppressed

    def upsert(self, body: Mapping[str, Any]) -> Answer:
        """Create or update one contact, unless the script says otherwise."""
        with self._lock:
            at = self._clock.now()
            scripted = self.answers.popleft() if self.answers else "accept"
            answer = self._answer(scripted, body)
            self.requests.append(Sent(at=at, body=body, status=answer.status))
        if self.latency:
            self._clock.sleep(self.latency)
        return answer

    def remove_tag(self, contact_id: str, body: Mapping[str, Any]) -> Answer:
        """Take a tag from a contact, unless the script says otherwise; kept with the requests."""
        with self._lock:
            at = self._clock.now()
            scripted = self.answers.popleft() if self.answers else "accept"
            applied = scripted in ("accept", "timeout_applied")
            contact = self.contacts.get(contact_id)
            if applied and contact is not None:
                contact.tags = [tag for tag in contact.tags if tag != body["tag_name"]]
            answer = self._refused(scripted)
            if answer is None:
                answer = Answer(status=NOT_FOUND if contact is None else SUCCESS, body={})
            sent = Sent(at=at, body={"contact_id": contact_id, **body}, status=answer.status)
            self.requests.append(sent)
        return answer

    def track_event(self, body: Mapping[str, Any]) -> Answer:
        """Record an event, unless the script says otherwise; kept with the requests."""
        return self._do(self.deeds.track_event, body)

    def trigger_email(self, body: Mapping[str, Any]) -> Answer:
        """Send an e-mail, unless the script says otherwise; kept with the requests."""
        return self._do(self.deeds.trigger_email, body)

    def bulk_enroll(self, body: Mapping[str, Any]) -> Answer:
        """Enrol addresses, unless the script says otherwise; kept with the requests."""
        return self._do(self.deeds.bulk_enroll, body)

    def apply_late(self) -> int:
        """Let requests that timed out take effect now; return how many."""
        with self._lock:
            for body in self.late:
                self._apply(body)
            for deed in self.late_deeds:
                deed()
            applied = len(self.late) + len(self.late_deeds)
            self.late.clear()
            self.late_deeds.clear()
        return applied

    def find(self, external_id: str) -> Held | None:
        """Return the contact with this external_id."""
        return next((c for c in self.contacts.values() if c.external_id == external_id), None)

    def forget(self, external_id: str) -> None:
        """Delete a contact, as a person over there may."""
        found = self.find(external_id)
        if found is not None:
            del self.contacts[found.id]

    def most_within(self, period: float) -> int:
        """Return the most requests that started within any span of that many seconds."""
        starts = sorted(sent.at for sent in self.requests)
        most = first = 0
        for last, at in enumerate(starts):
            while starts[first] <= at - period:
                first += 1
            most = max(most, last - first + 1)
        return most

    def _do(self, deed: Callable[[Mapping[str, Any]], Answer], body: Mapping[str, Any]) -> Answer:
        with self._lock:
            at = self._clock.now()
            scripted = self.answers.popleft() if self.answers else "accept"
            if scripted == "late":
                self.late_deeds.append(partial(deed, body))
            done = deed(body) if scripted in ("accept", "timeout_applied") else None
            answer = self._refused(scripted) or done or Answer()
            self.requests.append(Sent(at=at, body=body, status=answer.status))
        if self.latency:
            self._clock.sleep(self.latency)
        return answer

    def _knows(self, body: Mapping[str, Any]) -> bool:
        if self.find(str(body.get("external_id"))) is not None:
            return True
        return "email" in body and self._with_email(body["email"]) is not None

    def _answer(self, scripted: Scripted, body: Mapping[str, Any]) -> Answer:
        if scripted == "late":
            self.late.append(body)
        applied = self._apply(body) if scripted in ("accept", "timeout_applied") else None
        return self._refused(scripted) or applied or Answer()

    @staticmethod
    def _refused(scripted: Scripted) -> Answer | None:
        """Return the answer that the script gives; None where the request is accepted."""
        if scripted == "accept":
            return None
        if isinstance(scripted, Answer):
            return scripted
        if isinstance(scripted, int):
            return Answer(status=scripted, body={"message": f"scripted {scripted}"})
        if scripted == "not_sent":
            return Answer(sent=False, error="connection refused")
        return Answer(error=_ERRORS[scripted])

    def _apply(self, body: Mapping[str, Any]) -> Answer:
        key, email = body.get("external_id"), str(body["email"])
        same_address = self._with_email(email)
        contact = (self.find(key) if key is not None else None) or same_address
        created = contact is None
        if contact is None:
            self._made += 1
            contact = Held(
                id=f"contact-{self._made}",
                email=email,
                external_id=key,
                source=str(body.get("source", "api")),
            )
            self.contacts[contact.id] = contact
        elif same_address is not None and same_address is not contact:
            return Answer(status=CONFLICT, body={"message": "another contact has this e-mail"})
        contact.email = email
        contact.external_id = contact.external_id if key is None else key
        contact.names |= {name: body[name] for name in _NAMES if name in body}
        contact.custom_fields |= body.get("custom_fields", {})
        contact.tags += [t for t in body.get("tag_names", ()) if t not in contact.tags]
        return Answer(status=CREATED if created else SUCCESS, body=contact.document())

    def _with_email(self, email: str) -> Held | None:
        wanted = email_key(email)
        return next((c for c in self.contacts.values() if email_key(c.email) == wanted), None)
