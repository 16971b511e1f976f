"""One mapping's rows, batch by batch: what differs from what was settled goes to the spool."""

from collections.abc import Iterable, Iterator, Mapping as Dict, Sequence
from dataclasses import dataclass, field

from meisa_cdc.core.contact import EMAIL, Fields, Staged
from meisa_cdc.core.diff import Invalid
from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.core.values import canonical_key, email_key
from meisa_cdc.ports import Contacts, Spool
from meisa_cdc.records import Absent, Seen
from meisa_cdc.sync.captured import Captured, Taken, is_marked, mark
from meisa_cdc.sync.observing import Observer, told

#: Places that are remembered one by one; with more, all checksums of the mapping are dropped.
MOST_PLACES = 300_000

Parsed = tuple[str, Sequence[object], int | None]


@dataclass(slots=True, kw_only=True)
class Stream:
    """What the rows of one mapping have come to so far."""

    mapping: Mapping
    observer: Observer
    contacts: Contacts
    spool: Spool
    captured: Captured
    #: Each row ends with its place.
    placed: bool = False
    #: What is to become of the mapping's checksums; None: nothing.
    taken: Taken | None = None
    #: The buckets that are read; None: all.
    buckets: frozenset[int] | None = None
    #: Places in the buckets whose rows may be settled because of this pass; None: any.
    disturbs: set[int] | None = None
    #: One bit for each contact on record that had a row.
    seen: bytearray = field(default_factory=bytearray)
    #: One bit for each contact that has no row any more; None: nobody asks.
    lost: bytearray | None = None
    #: Distinct contacts with a row, and those of them that had one before.
    rows: int = 0
    still: int = 0
    #: Present contacts without an observation that had a row.
    lacking: int = 0
    #: Contacts whose row is gone.
    gone: int = 0
    orphans: int = 0
    duplicates: int = 0
    rejected: list[Invalid] = field(default_factory=list)

    def take(self, batch: Sequence[Sequence[object]]) -> None:
        """Spool what differs."""
        parsed = list(self._keyed(batch))
        known = self.contacts.observed(self.mapping.name, [key for key, *_ in parsed])
        fingerprint = self.observer.fingerprint
        entries: list[tuple[str, Staged, str]] = []
        fresh: set[str] = set()
        for each in self._with_contact(parsed, known):
            key, row, place = each
            record = known.get(key)
            if record is None:
                fresh.add(key)
                entries.append(self._entry(each, fingerprint(row), had_row=False))
                continue
            if self._is_second(record):
                entries.append((key, self._duplicate(row, record), ""))
                continue
            self.rows += 1
            self.still += record.row
            print_of_row = fingerprint(row)
            same = print_of_row == record.fingerprint and record.present and print_of_row != b""
            # An unusable row has nothing on record, so that it is judged every time.
            if same and (place is None or place == record.place):
                continue
            self.lacking += record.present and record.fingerprint is None
            if self.taken is not None and record.row and place != record.place:
                self.taken.moved = True
            entries.append(self._entry(each, print_of_row, had_row=record.row))
        self.rows += len(fresh)
        self._put(entries)

    def _entry(
        self, parsed: Parsed, print_of_row: bytes, *, had_row: bool
    ) -> tuple[str, Staged, str]:
        """Return what the spool is given of a row."""
        key, row, place = parsed
        values, errors = self.observer.observe(row)
        staged = Staged(values, errors, print_of_row, True, had_row, "", place)  # noqa: FBT003
        return key, staged, self._address(values)

    def _keyed(self, batch: Iterable[Sequence[object]]) -> Iterator[Parsed]:
        key, placed = self.observer.key, self.placed
        for row in batch:
            place = row[-1] if placed else None
            assert place is None or isinstance(place, int)  # noqa: S101 - for the type checker
            try:
                yield canonical_key(row[key]), row, place
            except InvalidValue as error:
                if self.taken is not None and place is not None:
                    self.taken.unsettle(place)
                self.rejected.append(
                    Invalid(
                        mapping=self.mapping.name,
                        external_id=None,
                        code=error.code,
                        message=f"{error.message}; the row is {self.observer.told(row)}",
                    )
                )

    def _with_contact(self, parsed: Sequence[Parsed], known: Dict[str, Seen]) -> Iterable[Parsed]:
        """Return the rows that have a contact, and count those that have none any more."""
        if self.mapping.name == self.captured.identity:
            return parsed
        return self._of_people(parsed, known)

    def _of_people(self, parsed: Sequence[Parsed], known: Dict[str, Seen]) -> Iterator[Parsed]:
        captured = self.captured
        strangers = [key for key, *_ in parsed if key not in known]
        new = self.spool.having(captured.identity, strangers) if strangers else set()
        read, people = captured.identity not in captured.failures, captured.people
        for each in parsed:
            record = known.get(each[0])
            was = record is not None and record.present
            if record is None:
                exists = each[0] in new
            elif people is None:
                exists = was
            else:
                exists = is_marked(people, record.ref) or captured.has(record.ref, present=was)
            if not exists and read:
                self.orphans += 1
            # Identity may turn out to be held: then nobody who was there is gone.
            if exists or was:
                yield each

    def _is_second(self, record: Seen) -> bool:
        """Tell whether a contact's key has another row."""
        if mark(self.seen, record.ref):
            return True
        if self.buckets is None or self.taken is None or not record.row or record.place is None:
            return False
        # Where its row was, all is as it was: this is one more.
        return self.taken.buckets.bucket(record.place) not in self.buckets

    def _duplicate(self, row: Sequence[object], record: Seen) -> Staged:
        self.duplicates += 1
        values, _ = self.observer.observe(row)
        text = f"the key has more than one row: {told(values.items())}, and another"
        return Staged(duplicate=text, had_row=record.row, values=values)

    def _address(self, values: Fields) -> str:
        # No other mapping has this column.
        email = values.get(EMAIL)
        return email_key(email) if isinstance(email, str) else ""

    def miss(self, batches: Iterable[Sequence[Absent]]) -> None:
        """Spool that these contacts have no row; those that had one in this pass are left out."""
        missing = self.captured.readings[self.mapping.name].missing
        for batch in batches:
            gone = [each for each in batch if not is_marked(self.seen, each.ref)]
            self.gone += sum(each.had_row for each in gone)
            self._put(
                [
                    (
                        each.external_id,
                        Staged(
                            row=False, had_row=each.had_row, fingerprint=missing, place=each.place
                        ),
                        "",
                    )
                    for each in gone
                ]
            )
            if self.lost is not None:
                for each in gone:
                    mark(self.lost, each.ref)

    def _put(self, entries: Sequence[tuple[str, Staged, str]]) -> None:
        if not entries:
            return
        name = self.mapping.name
        self.spool.put(name, entries)
        if self.disturbs is not None:
            self.disturbs.update(s.place for _, s, _ in entries if s.place is not None)
            if len(self.disturbs) > MOST_PLACES:
                self.disturbs = None
        self.captured.disturbed[name] = self.disturbs
