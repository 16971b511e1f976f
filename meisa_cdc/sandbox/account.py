"""One Meisa account: takes a request, answers it, remembers both. No HTTP, no waiting."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

from meisa_cdc.sandbox.api.endpoint import Call, Endpoint
from meisa_cdc.sandbox.api.table import find_endpoint
from meisa_cdc.sandbox.errors import OptionError, Refusal
from meisa_cdc.sandbox.exchange import Arrival, Reply, json_reply, read_json
from meisa_cdc.sandbox.faults import Fault, FaultPlan, spoil
from meisa_cdc.sandbox.fields import check_body
from meisa_cdc.sandbox.gate import Gate, require_scope
from meisa_cdc.sandbox.journal import Journal, RequestRecord, Trigger
from meisa_cdc.sandbox.options import ApiKey, SandboxOptions
from meisa_cdc.sandbox.records import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one request ends."""

    #: what to send; None if the connection is to be reset instead
    reply: Reply | None
    #: what happens to the connection, if anything out of the ordinary
    fault: Fault | None = None
    #: seconds to wait before the answer, or before the reset
    latency: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the page shows."""

    #: number of contacts, and the ones touched last as the API shows them
    contacts: int
    recent: list[dict[str, object]]
    #: triggers ever fired by kind, and the last ones, newest first
    trigger_counts: Mapping[str, int]
    triggers: list[dict[str, object]]
    #: requests ever received, and by status
    requests: int
    statuses: Mapping[str, int]
    #: number of suppressed addresses
    suppressed: int
    #: what was chosen at the start
    options: SandboxOptions


@dataclass(slots=True, kw_only=True)
class _Visit:
    """What was found out about a request on its way through the checks."""

    arrival: Arrival
    now: float
    document: object
    key: ApiKey | None = None
    fault: Fault | None = None

    @property
    def external_id(self) -> str | None:
        found = self.document.get("external_id") if isinstance(self.document, dict) else None
        return found if isinstance(found, str) else None


class Account:
    """All the sandbox's behaviour; safe to use from several threads.

    `clock` gives epoch seconds.
    """

    def __init__(
        self,
        options: SandboxOptions | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.options = options or SandboxOptions()
        self._clock = clock
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        options = self.options
        self._records = Records(options)
        self._requests: Journal[RequestRecord] = Journal(options.log_size)
        self._gate = Gate(options)
        self._plan = FaultPlan(fail=options.fail, latency=options.latency, seed=options.seed)
        self._late: list[Callable[[float], Reply]] = []

    def answer(self, arrival: Arrival) -> Outcome:
        """Take one request: what it asks for happens now, the answer is for the wire to send."""
        with self._lock:
            visit = _Visit(arrival=arrival, now=self._clock(), document=read_json(arrival.body))
            try:
                reply = self._receive(visit)
            except Refusal as refusal:
                reply = _refused(refusal)
            self._log(visit, reply)
            silence = visit.fault.silence if visit.fault else 0.0
            return Outcome(reply=reply, fault=visit.fault, latency=self._plan.latency + silence)

    def _receive(self, visit: _Visit) -> Reply | None:
        endpoint = find_endpoint(visit.arrival.method, visit.arrival.path)
        visit.key = key = self._gate.identify(visit.arrival.api_key)
        self._gate.admit(key, visit.now)
        visit.fault = fault = self._plan.next_for(endpoint.path, visit.external_id)
        if fault is None:
            return self._carry_out(endpoint, visit, key, visit.now)
        if fault.kind == "late":
            self._late.append(partial(self._try_out, endpoint, visit, key))
        true = self._try_out(endpoint, visit, key, visit.now) if fault.applies else None
        return None if fault.silent else spoil(fault, true)

    def _carry_out(self, endpoint: Endpoint, visit: _Visit, key: ApiKey, now: float) -> Reply:
        require_scope(key, endpoint.scope)
        fields: Mapping[str, object] = {}
        if endpoint.fields is not None:
            fields = check_body(endpoint.fields, visit.arrival.content_type, visit.document)
        return endpoint.respond(self._records, Call(now=now, key=key, fields=fields))

    def _try_out(self, endpoint: Endpoint, visit: _Visit, key: ApiKey, now: float) -> Reply:
        try:
            return self._carry_out(endpoint, visit, key, now)
        except Refusal as refusal:
            return _refused(refusal)

    def _log(self, visit: _Visit, reply: Reply | None) -> None:
        self._requests.add(
            lambda number: RequestRecord(
                number=number,
                at=visit.now,
                method=visit.arrival.method,
                path=visit.arrival.path,
                status=reply.status if reply else None,
                key_name=visit.key.name if visit.key else None,
                external_id=visit.external_id,
                fault=visit.fault.kind if visit.fault else None,
                body=visit.arrival.body,
            )
        )

    def contacts(self) -> list[dict[str, object]]:
        """Every contact as the API shows it, the one touched last first."""
        with self._lock:
            return [self._records.describe(contact) for contact in self._records.contacts.recent()]

    def contact(
        self, *, external_id: str | None = None, email: str | None = None
    ) -> dict[str, object] | None:
        """The contact with that external_id, else with that e-mail, as the API shows it."""
        with self._lock:
            found = self._records.contacts.match(external_id, email)
            return None if found is None else self._records.describe(found)

    def delete_contact(self, external_id: str) -> None:
        """Remove the contact as a person could in Meisa. Raises OptionError if there is none."""
        with self._lock:
            if not self._records.contacts.remove(external_id):
                raise OptionError(f"there is no contact with external_id {external_id!r}")

    def requests(self, since: int = 0) -> list[RequestRecord]:
        """Remembered requests after the one with that number, oldest first."""
        with self._lock:
            return self._requests.since(since)

    def triggers(self, since: int = 0) -> list[Trigger]:
        """Remembered triggers after the one with that number, oldest first."""
        with self._lock:
            return self._records.triggers.since(since)

    def trigger_counts(self) -> dict[str, int]:
        """Triggers ever fired, by kind."""
        with self._lock:
            return dict(self._records.triggers.counts)

    def suppress(self, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> int:
        """Change the list of suppressed addresses; returns how many are on it."""
        with self._lock:
            self._records.suppressed.add(add)
            self._records.suppressed.remove(remove)
            return len(self._records.suppressed)

    def script(self, *faults: Fault) -> None:
        """Let these faults strike the next requests they match, in this order."""
        with self._lock:
            self._plan.add(*faults)

    def configure(self, *, fail: float | None = None, latency: float | None = None) -> None:
        """Change the share of failing requests, or the seconds before an answer."""
        with self._lock:
            self._plan.configure(fail=fail, latency=latency)

    def clear_script(self) -> None:
        """Forget the faults that have not struck yet."""
        with self._lock:
            self._plan.clear()

    def scripted(self) -> tuple[Fault, ...]:
        """The faults that have not struck yet, next first."""
        with self._lock:
            return self._plan.waiting()

    def apply_late(self) -> int:
        """Let every request that a `late` fault held back take effect now; returns how many."""
        with self._lock:
            late, self._late = self._late, []
            for take_effect in late:
                take_effect(self._clock())
            return len(late)

    def reset(self) -> None:
        """Be as new: no contacts, no log, limits unused, faults as chosen at the start."""
        with self._lock:
            self._begin()

    def overview(self, contacts: int = 100, triggers: int = 30) -> Overview:
        """Figures, and at most so many contacts and triggers, for the page."""
        with self._lock:
            records = self._records
            recent = islice(records.contacts.recent(), contacts)
            fired = records.triggers.since(records.triggers.total - triggers)
            return Overview(
                contacts=len(records.contacts),
                recent=[records.describe(contact) for contact in recent],
                trigger_counts=dict(sorted(records.triggers.counts.items())),
                triggers=[trigger.document() for trigger in reversed(fired)],
                requests=self._requests.total,
                statuses=dict(sorted(self._requests.counts.items())),
                suppressed=len(records.suppressed),
                options=self.options,
            )


def _refused(refusal: Refusal) -> Reply:
    return json_reply(refusal.status, refusal.document(), refusal.headers)
