"""Our state in memory; it outlives the use case that a test lets crash."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from meisa_cdc.core.budget import Usage
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.delivery import Outcome, Request
from meisa_cdc.ports import DeliveryRecord, Grant
from meisa_cdc.testing.records import MemoryRecords


class MemoryState(MemoryRecords):
    """`ports.State` in memory.

    A test that wants the process to die drops whatever works on the state and goes on with the
    state; `on_step` tells it of each commit and may raise.
    """

    def __init__(self) -> None:
        super().__init__()
        self._paces: tuple[float, ...] = ()
        self._paused_until = 0.0

    def usage(self, most: int) -> Usage:
        """Return what was started and answered, at most that many newest entries."""
        done = sorted((over for _, over in self.requests.values()), reverse=True)
        return Usage(done=tuple(done[:most]), paces=self._paces, paused_until=self._paused_until)

    def grant(
        self,
        kind: str,
        *,
        now: float,
        deadline: float,
        paces: Sequence[float],
        external_id: str = "",
        intend: Callable[[Contact], tuple[Contact, Request] | None] | None = None,
        admit: Callable[[Usage], Sequence[float] | None] | None = None,
        most: int = 0,
    ) -> Grant | None:
        """Store that a request starts: its row, the paces, the intent."""
        with self.transaction("grant"):
            if admit is not None:
                admitted = admit(self.usage(most))
                if admitted is None:
                    return None
                paces = admitted
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
                kind=kind,
                external_id=external_id,
                started_at=now,
                done_at=None,
                code="",
                message="",
                fields=sorted(request.fields) if request else [],
            )
            self.requests[number] = (record, deadline)
            self._paces = tuple(paces)
        return Grant(id=number, request=request)

    def complete(
        self,
        grant: Grant,
        *,
        now: float,
        outcome: Outcome,
        settle: Callable[[Contact], Contact] | None = None,
        not_before: float = 0.0,
        paused_until: float = 0.0,
    ) -> None:
        """Store what came of a request, and what it does to its contact."""
        with self.transaction("complete"):
            contact = self.contacts.get(grant.request.external_id) if grant.request else None
            if contact is not None:
                self.put_contact(settle(contact) if settle else contact)
                self.not_before[contact.external_id] = not_before
            if grant.id in self.requests:
                record, _ = self.requests[grant.id]
                done = replace(record, done_at=now, code=outcome.code, message=outcome.message)
                self.requests[grant.id] = (done, now)
            self._paused_until = max(self._paused_until, paused_until)
