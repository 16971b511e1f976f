"""Our state in memory; it outlives the use case that a test lets crash."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from meisa_cdc.core.breaker import JUDGED, forgiving
from meisa_cdc.core.budget import Usage
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.delivery import Kind, Outcome, Request, is_rejection
from meisa_cdc.records import DeliveryRecord, Grant
from meisa_cdc.testing.records import MemoryRecords


class MemoryState(MemoryRecords):
    """`ports.State` in memory.

    A test that wants the process to die drops whatever works on the state and goes on with the
    state; `on_step` tells it of each commit and may raise.
    """

    def __init__(self) -> None:
        super().__init__()
        self._usage = Usage()

    def usage(self, most: int, since: float = 0.0) -> Usage:
        """Return what was started, and answered after `since`: that many newest entries at most."""
        done = sorted((over for _, over in self.requests.values() if over > since), reverse=True)
        return replace(self._usage, done=tuple(done[:most]))

    def grant(
        self,
        kind: str,
        *,
        now: float,
        deadline: float,
        admit: Callable[[Usage], Sequence[float] | None],
        external_id: str = "",
        intend: Callable[[Contact], tuple[Contact, Request] | None] | None = None,
        most: int = 0,
        since: float = 0.0,
    ) -> Grant | None:
        """Store that a request starts: its row, the paces, the intent."""
        with self.transaction("grant"):
            paces = admit(self.usage(most, since))
            if paces is None:
                return None
            request = None
            if intend is not None:
                contact = self.contacts.get(external_id)
                intended = None if contact is None else intend(contact)
                if intended is None:
                    return None
                intent, request = intended
                self.put_contact(intent)
            number = max(self.requests, default=0) + 1
            record = DeliveryRecord(
                id=number,
                kind=kind if request is None else request.kind,
                external_id=external_id,
                started_at=now,
                done_at=None,
                code="",
                message="",
                fields=sorted(request.fields) if request else [],
            )
            self.requests[number] = (record, deadline)
            turn = self._usage.turn + (request is not None)
            self._usage = replace(self._usage, paces=tuple(paces), turn=turn)
        return Grant(id=number, request=request)

    def complete(
        self,
        grant: Grant,
        *,
        now: float,
        outcome: Outcome,
        settle: Callable[[Contact], Contact] | None = None,
        not_before: float = 0.0,
        react: Callable[[Usage, int], Usage] | None = None,
        most: int = 0,
        since: float = 0.0,
    ) -> None:
        """Store what came of a request, and what it does to its contact."""
        with self.transaction("complete"):
            contact = self.contacts.get(grant.request.external_id) if grant.request else None
            after = settle(contact) if settle and contact is not None else contact
            before = self.requests.get(grant.id)
            if before is not None:
                record, _ = before
                done = replace(record, done_at=now, code=outcome.code, message=outcome.message)
                self.requests[grant.id] = (done, now)
            try:
                if react is not None:
                    count = self._rejections() if outcome.kind is Kind.REJECTED else 0
                    self._usage = replace(react(self.usage(most, since), count), done=())
            except BaseException:
                if before is not None:
                    self.requests[grant.id] = before
                raise
            if after is not None:
                self.put_contact(after)
                self.not_before[after.external_id] = not_before

    def forgive(self) -> None:
        """Let deliveries go on after rejections: earlier ones count no more."""
        with self.transaction("forgive"):
            newest = max(self.requests, default=0)
            breaker = forgiving(self._usage.breaker, newest)
            self._usage = replace(self._usage, breaker=breaker)

    def _rejections(self) -> int:
        forgiven = self._usage.breaker.forgiven
        counted = [
            record.code
            for number, (record, _) in sorted(self.requests.items(), reverse=True)
            if number > forgiven and record.external_id and record.done_at is not None
        ]
        return sum(map(is_rejection, counted[:JUDGED]))
