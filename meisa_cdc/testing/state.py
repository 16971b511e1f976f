"""Our state in memory; it outlives the use case that a test lets crash."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from meisa_cdc.core.breaker import JUDGED, forgiving
from meisa_cdc.core.budget import Usage, begun
from meisa_cdc.core.contact import Contact
from meisa_cdc.core.delivery import Request
from meisa_cdc.core.occurrence import Occurrence, Status
from meisa_cdc.core.outcome import WITHHELD, Kind, is_rejection
from meisa_cdc.records import Concluded, DeliveryRecord, Grant, started
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
        left = (over for each, over in self.requests.values() if each.code != WITHHELD.code)
        done = sorted((over for over in left if over > since), reverse=True)
        return replace(self._usage, done=tuple(done[:most]))

    def grant(
        self,
        kind: str,
        *,
        now: float,
        deadline: float,
        admit: Callable[[Usage], Sequence[float] | None],
        most: int = 0,
        since: float = 0.0,
    ) -> Grant | None:
        """Store that a request about no contact starts: its row, the paces."""
        with self.transaction("grant"):
            paces = admit(self.usage(most, since))
            if paces is None:
                return None
            self._usage = replace(self._usage, paces=tuple(paces))
            return self._granted(kind, None, now, deadline)

    def grant_deliveries(
        self,
        keys: Sequence[str],
        *,
        now: float,
        deadline: float,
        admit: Callable[[Usage], Sequence[float] | None],
        intend: Callable[[Contact], tuple[Contact, Request] | None],
        most: int = 0,
        since: float = 0.0,
        concluded: Sequence[Concluded] = (),
    ) -> Sequence[Grant]:
        """Store that requests start: their rows, the paces, the intents."""
        intents = []
        with self.transaction("grant"):
            self._conclude(concluded, most, since)
            usage = self.usage(most, since)
            for key in keys:
                paces = admit(usage)
                contact = self.contacts.get(key)
                intended = None if paces is None or contact is None else intend(contact)
                if paces is None or intended is None:
                    break
                intents.append(intended)
                usage = begun(usage, paces, deadline)
            self._usage = replace(usage, done=())
            for intent, _ in intents:
                self.put_contact(intent)
            return [self._granted(request.kind, request, now, deadline) for _, request in intents]

    def grant_occurrences(
        self,
        refs: Sequence[int],
        *,
        now: float,
        deadline: float,
        admit: Callable[[Usage], Sequence[float] | None],
        intend: Callable[[Occurrence], Occurrence],
        most: int = 0,
        since: float = 0.0,
    ) -> tuple[Grant, Sequence[Occurrence]] | None:
        """Store that a request starts, and that these were about to be sent."""
        with self.transaction("grant_occurrences"):
            usage = self.usage(most, since)
            paces = admit(usage)
            waiting = [self.once[r] for r in refs if self.once[r].status is Status.WAITING]
            if paces is None or not waiting:
                return None
            self._usage = replace(begun(usage, paces, deadline), done=())
            self.change([intend(each) for each in waiting], Status.WAITING)
            grant = self._granted("", None, now, deadline)
            record = replace(started(waiting, now), id=grant.id)
            self.requests[grant.id] = (record, deadline)
        return grant, waiting

    def _granted(self, kind: str, request: Request | None, now: float, deadline: float) -> Grant:
        number = max(self.requests, default=0) + 1
        record = DeliveryRecord(
            id=number,
            kind=kind,
            external_id=request.external_id if request else "",
            started_at=now,
            done_at=None,
            code="",
            message="",
            fields=sorted(request.fields) if request else [],
        )
        self.requests[number] = (record, deadline)
        return Grant(id=number, request=request)

    def complete(self, *concluded: Concluded, most: int = 0, since: float = 0.0) -> None:
        """Store what came of requests, and what it does to their contacts."""
        with self.transaction("complete"):
            self._conclude(concluded, most, since)

    def _conclude(self, concluded: Sequence[Concluded], most: int, since: float) -> None:
        settled = [self._settled(each) for each in concluded]
        before = dict(self.requests)
        for done in concluded:
            self._end(done)
        try:
            self._usage = replace(self._after(concluded, most, since), done=())
        except BaseException:
            self.requests = before
            raise
        for contact, done in zip(settled, concluded, strict=True):
            if contact is not None:
                self.put_contact(contact)
                self.not_before[contact.external_id] = done.not_before

    def _after(self, concluded: Sequence[Concluded], most: int, since: float) -> Usage:
        usage = self.usage(most, since)
        for done in concluded:
            if done.react is not None:
                count = self._rejections() if done.outcome.kind is Kind.REJECTED else 0
                usage = done.react(usage, count)
        return usage

    def _settled(self, done: Concluded) -> Contact | None:
        request = done.grant.request
        contact = self.contacts.get(request.external_id) if request else None
        return done.settle(contact) if contact and done.settle else contact

    def _end(self, done: Concluded) -> None:
        if done.grant.id in self.requests:
            record, _ = self.requests[done.grant.id]
            code, message = done.outcome.code, done.outcome.message
            ended = replace(record, done_at=done.now, code=code, message=message)
            self.requests[done.grant.id] = (ended, done.now)

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
            if number > forgiven
            and record.external_id
            and record.done_at is not None
            and record.code != WITHHELD.code
        ]
        return sum(map(is_rejection, counted[:JUDGED]))
