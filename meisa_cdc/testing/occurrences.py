"""What is done once, in a dictionary."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from meisa_cdc.core.occurrence import OPEN, SETTLED_BY_HAND, Occurrence, Status
from meisa_cdc.records import OccurrenceCount
from meisa_cdc.testing.contacts import MemoryContacts

PAGE = 500


class MemoryOccurrences(MemoryContacts):
    """`ports.Occurrences` in memory, grants aside."""

    def __init__(self) -> None:
        super().__init__()
        #: Occurrences by their row's number.
        self.once: dict[int, Occurrence] = {}

    def known_occurrences(self, mapping: str, keys: Sequence[str]) -> set[str]:
        """Return those of the keys that are on record."""
        return {each.key for each in self._found() if each.mapping == mapping} & set(keys)

    def admit_occurrences(self, occurrences: Sequence[Occurrence]) -> None:
        """Store those that are not on record yet."""
        if not occurrences:
            return
        with self.transaction("admit_occurrences"):
            known = {(each.mapping, each.key) for each in self.once.values()}
            for each in occurrences:
                if (each.mapping, each.key) not in known:
                    known.add((each.mapping, each.key))
                    ref = len(self.once) + 1
                    at = each.since if each.occurred_at is None else each.occurred_at
                    self.once[ref] = replace(each, ref=ref, occurred_at=at)

    def next_occurrences(
        self, now: float, most: int, *, kinds: Sequence[str], favour: int | None = None
    ) -> Sequence[Occurrence]:
        """Return what waits and may be tried now, the most urgent and oldest first."""
        found = [each for each in self._may_start(now) if each.kind in kinds]
        favoured = [each for each in found if each.rank == favour]
        return sorted(favoured or found, key=_turn)[:most]

    def delivery_due(self, external_id: str) -> float | None:
        """Return when a contact's pending delivery may be tried; None where none is pending."""
        contact = self.contacts.get(external_id)
        if contact is None or contact.rank is None:
            return None
        return self.not_before.get(external_id, 0.0)

    def companions(self, slug: str, now: float, most: int) -> Sequence[Occurrence]:
        """Return the enrolments in this sequence that may be tried now, the oldest first."""
        return [each for each in self._may_start(now) if each.slug == slug][:most]

    def next_occurrence_attempt(self, kinds: Sequence[str]) -> float | None:
        """Return the earliest epoch second at which a deferred one, not blocked, may be tried."""
        deferred = (
            each.not_before
            for each in self._found(Status.WAITING)
            if each.kind in kinds and not each.blocked and each.not_before > 0
        )
        return min(deferred, default=None)

    def store_occurrences(self, changed: Sequence[Occurrence], *, before: Status) -> None:
        """Store these as they are now where they still stand as before."""
        with self.transaction("store_occurrences"):
            self.change(changed, before)

    def sent_occurrences(self, until: float | None = None) -> Sequence[Occurrence]:
        """Return what was about to be sent and given up by then."""
        return [
            each for each in self._found(Status.SENT) if until is None or each.not_before <= until
        ]

    def unblock_occurrences(self) -> None:
        """Let what is blocked be looked at again now."""
        with self.transaction("unblock_occurrences"):
            for each in self._found(Status.WAITING):
                if each.blocked and each.ref is not None:
                    self.once[each.ref] = replace(each, not_before=0.0)

    def resolve_occurrences(
        self, status: Status, *, keys: Sequence[str] | None, mappings: Sequence[str] | None
    ) -> int:
        """Settle what was rejected or parked: DONE, or WAITING to be tried again."""
        with self.transaction("resolve_occurrences"):
            meant = [
                each
                for each in self._found(*SETTLED_BY_HAND)
                if (keys is None or each.key in keys)
                and (mappings is None or each.mapping in mappings)
            ]
            for each in meant:
                body = each.body if status is Status.WAITING else {}
                blank = replace(each, not_before=0.0, tried_at=None, attempts=0, blocked="")
                self.once[each.ref or 0] = replace(blank, status=status, body=body)
        return len(meant)

    def baseline_occurrences(self, mapping: str) -> int:
        """Take what waits of a mapping as done; return how many."""
        with self.transaction("baseline_occurrences"):
            meant = [each for each in self._found(Status.WAITING) if each.mapping == mapping]
            for each in meant:
                done = replace(each, status=Status.BASELINE, body={}, blocked="", not_before=0.0)
                self.once[each.ref or 0] = done
        return len(meant)

    def occurrences(
        self, statuses: Sequence[Status], *, mappings: Sequence[str] | None = None
    ) -> Iterator[Sequence[Occurrence]]:
        """Yield batches of what stands so, oldest first."""
        found = [
            each for each in self._found(*statuses) if mappings is None or each.mapping in mappings
        ]
        for start in range(0, len(found), PAGE):
            yield found[start : start + PAGE]

    def occurrence_counts(self) -> Sequence[OccurrenceCount]:
        """Count what something is still to be done about."""
        groups: dict[tuple[str, Status, str], list[float]] = defaultdict(list)
        for each in self._found(*OPEN):
            groups[each.mapping, each.status, each.blocked].append(each.since)
        return [
            OccurrenceCount(
                mapping=mapping,
                status=status,
                blocked=blocked,
                count=len(since),
                oldest=min(since),
            )
            for (mapping, status, blocked), since in sorted(groups.items())
        ]

    def change(self, changed: Sequence[Occurrence], before: Status) -> None:
        """Store these inside a transaction where they still stand as before."""
        for each in changed:
            if each.ref is not None and self.once[each.ref].status is before:
                self.once[each.ref] = each

    def _found(self, *statuses: Status) -> list[Occurrence]:
        return [each for each in list(self.once.values()) if each.status in (statuses or Status)]

    def _may_start(self, now: float) -> list[Occurrence]:
        return [each for each in self._found(Status.WAITING) if each.not_before <= now]


def _turn(occurrence: Occurrence) -> tuple[int, float, float, int]:
    at = occurrence.since if occurrence.occurred_at is None else occurrence.occurred_at
    return occurrence.rank, occurrence.since, at, occurrence.ref or 0
