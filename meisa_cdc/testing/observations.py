"""What was observed of the stored contacts, in dictionaries."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from meisa_cdc.core.checksums import Checksums
from meisa_cdc.core.contact import Contact, Observation
from meisa_cdc.records import Absent, Seen, Settled
from meisa_cdc.testing.steps import Steps

PAGE = 1000
T = TypeVar("T")


class MemoryObservations(Steps):
    """The part of `ports.Contacts` about rows that mappings returned, in memory."""

    def __init__(self) -> None:
        super().__init__()
        #: Contacts by external_id.
        self.contacts: dict[str, Contact] = {}
        #: Mapping name -> external_id -> observation.
        self.observations: dict[str, dict[str, Observation]] = {}
        #: What the rows of each mapping add up to.
        self.sums: dict[str, Checksums] = {}

    def observed(self, mapping: str, keys: Sequence[str]) -> dict[str, Seen]:
        """Return what is on record for these keys."""
        stored = self.observations.get(mapping, {})
        found = {}
        for key in keys:
            contact = self.contacts.get(key)
            if contact is not None and contact.ref is not None:
                seen = stored.get(key)
                found[key] = Seen(
                    ref=contact.ref,
                    present=contact.present,
                    fingerprint=None if seen is None else seen.fingerprint,
                    row=seen is not None and seen.row,
                    place=None if seen is None else seen.place,
                )
        return found

    def unseen(self, mapping: str, seen: bytearray, missing: bytes) -> Iterator[Sequence[Absent]]:
        """Yield batches of present contacts that a complete read lacked."""
        yield from self._absent(mapping, seen, lambda o: o is None or o.fingerprint != missing)

    def vanished(
        self, mapping: str, seen: bytearray, buckets: Collection[int], bits: int
    ) -> Iterator[Sequence[Absent]]:
        """Yield batches of present contacts whose row was in one of these buckets."""
        mask = (1 << bits) - 1

        def was_there(known: Observation | None) -> bool:
            placed = known is not None and known.row and known.place is not None
            return placed and known.place & mask in buckets  # type: ignore[union-attr, operator]

        yield from self._absent(mapping, seen, was_there)

    def lacking(self, mapping: str) -> Iterator[Sequence[Absent]]:
        """Yield batches of present contacts without any observation of the mapping."""
        yield from self._absent(mapping, bytearray(), lambda known: known is None)

    def _absent(
        self, mapping: str, seen: bytearray, wanted: Callable[[Observation | None], bool]
    ) -> Iterator[Sequence[Absent]]:
        found = []
        for key, contact in list(self.contacts.items()):
            ref = contact.ref or 0
            known = self.observations.get(mapping, {}).get(key)
            was_read = ref // 8 < len(seen) and seen[ref // 8] >> ref % 8 & 1
            if contact.present and not was_read and wanted(known):
                place, row = (None, False) if known is None else (known.place, known.row)
                found.append(Absent(external_id=key, ref=ref, had_row=row, place=place))
        yield from pages(found)

    def checksums(self, mapping: str) -> Checksums | None:
        """Return what its rows added up to when that was stored."""
        return self.sums.get(mapping)

    def record_checksums(self, mapping: str, checksums: Checksums) -> None:
        """Remember what its rows add up to."""
        with self.transaction("record_checksums"):
            self.sums[mapping] = checksums

    def unsettle(self, mapping: str, places: Collection[int]) -> None:
        """Have the buckets of these places looked at next time."""
        known = self.sums.get(mapping)
        if known is not None:
            more = {known.buckets.bucket(place) for place in places}
            with self.transaction("unsettle"):
                self.sums[mapping] = replace(known, unsettled=known.unsettled | more)

    def drop_checksums(self, mappings: Collection[str]) -> None:
        """Forget what the rows of these mappings add up to."""
        with self.transaction("drop_checksums"):
            for mapping in mappings:
                self.sums.pop(mapping, None)

    def observe(self, contact: Contact, settled: Settled) -> None:
        """Store what was observed of a contact; of who is gone, nothing is."""
        key = contact.external_id
        if not contact.present:
            for stored in self.observations.values():
                stored.pop(key, None)
            return
        for mapping, observation in settled.observed.items():
            stored = self.observations.setdefault(mapping, {})
            if observation is None:
                stored.pop(key, None)
            else:
                stored[key] = observation


def pages(found: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield a sequence in parts, as a database would."""
    for start in range(0, len(found), PAGE):
        yield found[start : start + PAGE]
