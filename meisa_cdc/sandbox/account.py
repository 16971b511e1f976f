"""One Meisa account: takes a request, answers it, remembers both. No HTTP, no waiting."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from meisa_cdc.sandbox.disk import Disk
from meisa_cdc.sandbox.errors import OptionError, StateError
from meisa_cdc.sandbox.exchange import Arrival, Reply, json_reply, read_json
from meisa_cdc.sandbox.faults import Fault
from meisa_cdc.sandbox.journal import Journal, RequestRecord, stored_request
from meisa_cdc.sandbox.options import SandboxOptions
from meisa_cdc.sandbox.overview import Overview, look_over
from meisa_cdc.sandbox.reception import Reception, Visit
from meisa_cdc.sandbox.records import Records
from meisa_cdc.sandbox.runs import AutomationRun
from meisa_cdc.sandbox.triggers import Trigger
from meisa_cdc.sandbox.unsaved import Unsaved


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one request ends."""

    #: what to send; None if the connection is to be reset instead
    reply: Reply | None
    #: what happens to the connection, if anything out of the ordinary
    fault: Fault | None = None
    #: seconds to wait before the answer, or before the reset
    latency: float = 0.0


class Account:
    """All the sandbox's behaviour; safe to use from several threads.

    `clock` gives epoch seconds. With `options.state` it goes on where that file left off; raises
    OptionError if the file cannot be used, and StateError where it can no longer be written.
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
        self._disk = None if self.options.state is None else Disk(self.options.state)
        self._begin()
        if self._disk is not None:
            self._records.restore(self._disk.load)
            self._requests.restore(self._disk.load, stored_request)
            self._reception.gate.recall(self._requests.since(0))

    def _begin(self) -> None:
        options = self.options
        self._unsaved = Unsaved(remember=self._disk is not None)
        self._records = Records(options, self._unsaved)
        self._requests: Journal[RequestRecord] = Journal("request", options.log_size, self._unsaved)
        self._reception = Reception(options, self._records)

    @contextmanager
    def _at_work(self) -> Iterator[Records]:
        """Nobody else changes anything meanwhile; what changed is on disk afterwards."""
        with self._lock:
            self._records.settle(self._clock())
            yield self._records
            if self._disk is not None:
                self._disk.save(self._unsaved)

    def answer(self, arrival: Arrival) -> Outcome:
        """Take one request: what it asks for happens now, the answer is for the wire to send."""
        document = read_json(arrival.body)
        try:
            with self._at_work():
                visit = Visit(arrival=arrival, now=self._clock(), document=document)
                reply = self._reception.receive(visit)
                self._log(visit, reply)
        except StateError as error:
            return Outcome(reply=json_reply(500, {"message": str(error)}))
        silence = visit.fault.silence if visit.fault else 0.0
        latency = self._reception.plan.latency + silence
        return Outcome(reply=reply, fault=visit.fault, latency=latency)

    def _log(self, visit: Visit, reply: Reply | None) -> None:
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
        with self._at_work() as records:
            return [records.describe(contact) for contact in records.contacts.recent()]

    def contact(
        self, *, external_id: str | None = None, email: str | None = None
    ) -> dict[str, object] | None:
        """The contact with that external_id, else with that e-mail, as the API shows it."""
        with self._at_work() as records:
            found = records.contacts.match(external_id, email)
            return None if found is None else records.describe(found)

    def delete_contact(self, external_id: str) -> None:
        """Remove the contact as a person could in Meisa. Raises OptionError if there is none."""
        with self._at_work() as records:
            contact = records.contacts.remove(external_id)
            if contact is None:
                raise OptionError(f"there is no contact with external_id {external_id!r}")
            records.enrollments.forget(contact.id)

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

    def automation_runs(self, since: int = 0) -> list[AutomationRun]:
        """Remembered runs of automations after the one with that number, oldest first."""
        with self._lock:
            return self._records.runs.since(since)

    def emails(self) -> list[dict[str, object]]:
        """Every triggered e-mail remembered, oldest first, with all that is known about it."""
        with self._at_work() as records:
            return [dict(mail.stored()) for mail in records.outbox.all()]

    def enrollments(self, email: str) -> list[dict[str, object]]:
        """The sequences that the contact with that address is or was in, as the API lists them."""
        with self._at_work() as records:
            contact = records.contacts.match(None, email)
            found = [] if contact is None else records.enrollments.of(contact)
            return [enrollment.document(self._clock()) for enrollment in found]

    def suppress(self, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> int:
        """Change the list of suppressed addresses; returns how many are on it."""
        with self._at_work() as records:
            records.suppressed.add(add)
            records.suppressed.remove(remove)
            return len(records.suppressed)

    def script(self, *faults: Fault) -> None:
        """Let these faults strike the next requests they match, in this order."""
        with self._lock:
            self._reception.plan.add(*faults)

    def configure(self, *, fail: float | None = None, latency: float | None = None) -> None:
        """Change the share of failing requests, or the seconds before an answer."""
        with self._lock:
            self._reception.plan.configure(fail=fail, latency=latency)

    def clear_script(self) -> None:
        """Forget the faults that have not struck yet."""
        with self._lock:
            self._reception.plan.clear()

    def scripted(self) -> tuple[Fault, ...]:
        """The faults that have not struck yet, next first."""
        with self._lock:
            return self._reception.plan.waiting()

    def apply_late(self) -> int:
        """Let every request that a `late` fault held back take effect now; returns how many."""
        with self._at_work():
            return self._reception.apply_late(self._clock())

    def reset(self) -> None:
        """Be as new: no contacts, no log, limits unused, faults as chosen at the start."""
        with self._lock:
            if self._disk is not None:
                self._disk.clear()
            self._begin()

    def overview(self, contacts: int = 100, triggers: int = 30) -> Overview:
        """Figures, and at most so many contacts, and so many entries of each log, for the page."""
        with self._at_work() as records:
            return look_over(
                records, self._requests, self._clock(), contacts=contacts, entries=triggers
            )

    def close(self) -> None:
        """Let go of the state file, if there is one; nothing can be asked of it afterwards."""
        if self._disk is not None:
            self._disk.close()
