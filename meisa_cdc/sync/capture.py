"""Capture: one snapshot of the app database into the spool, in constant memory.

Only what differs from what was settled before is spooled. Identity is read first, so that rows
of other mappings without a contact can be told apart as they come.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping as Dict, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from itertools import islice

from meisa_cdc.core.contact import (
    ATTRIBUTES,
    EMAIL,
    KEY_COLUMN,
    SOURCE,
    SOURCES,
    Staged,
    field_of,
)
from meisa_cdc.core.diff import Invalid
from meisa_cdc.core.errors import InvalidValue, MappingError, MappingFailed
from meisa_cdc.core.fields import Reading
from meisa_cdc.core.mapping import Column, Mapping, check_columns, check_set
from meisa_cdc.core.plan import MOST_LISTED
from meisa_cdc.core.tags import is_tags
from meisa_cdc.core.values import (
    FieldType,
    Value,
    canonical,
    canonical_key,
    email_key,
    fingerprint,
)
from meisa_cdc.ports import Contacts, Snapshot, Source, Spool
from meisa_cdc.records import MappingRecord, Seen

#: Beyond this many new contacts, mappings that are not due are read in full for them.
MOST_RESTRICTED = 20_000
#: Characters of a value, and of a row, that a message quotes.
MOST_OF_A_VALUE = 60
MOST_OF_A_ROW = 200


@dataclass(slots=True, kw_only=True)
class Captured:
    """What one pass saw of the app database, beside what is in the spool."""

    #: The mapping that yields e-mail.
    identity: str
    readings: dict[str, Reading]
    #: Columns of every mapping that could be described, by name.
    columns: dict[str, tuple[Column, ...]]
    #: Mappings that were read in full.
    complete: set[str] = field(default_factory=set)
    #: Distinct contacts with a row, by mapping read in full.
    rows: dict[str, int] = field(default_factory=dict)
    #: Mapping -> what went wrong.
    failures: dict[str, str] = field(default_factory=dict)
    #: Rows without a usable key.
    unkeyed: list[Invalid] = field(default_factory=list)
    #: All of those, also the ones beyond what is listed; by mapping.
    unkeyed_count: dict[str, int] = field(default_factory=dict)
    #: One bit for each contact on record that identity has now; None where it was not read.
    people: bytearray | None = None
    #: Keys of other mappings without a contact.
    orphans: int = 0

    @property
    def fields(self) -> set[str]:
        """Every field that some mapping yields."""
        return {field_of(column) for each in self.readings.values() for column in each.columns}

    def has(self, ref: int) -> bool:
        """Tell whether identity, which was read, has a row for a contact on record."""
        return self.people is not None and _marked(self.people, ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads mappings in a snapshot and spools what has to be looked at."""

    snapshot: Snapshot
    contacts: Contacts
    spool: Spool
    zone: tzinfo
    captured: Captured

    def read(self, mapping: Mapping, keys: Sequence[str] | None = None) -> None:
        """Spool one mapping; a failure is noted, and nothing of the mapping is kept."""
        try:
            self._stream(mapping, keys)
        except (MappingFailed, MappingError) as error:
            self.spool.drop(mapping.name)
            self.captured.failures[mapping.name] = str(error)

    def _stream(self, mapping: Mapping, keys: Sequence[str] | None) -> None:
        columns = tuple(c.name for c in self.captured.columns[mapping.name])
        seen = bytearray()
        rows = 0
        rejected: list[Invalid] = []
        for batch in self.snapshot.read(mapping, keys):
            parsed = list(_keyed(mapping, columns, batch, rejected))
            rows += self._spool(mapping, columns, parsed, seen)
        self._note_rejected(mapping, rejected)
        if keys is None:
            if mapping.name == self.captured.identity:
                self.captured.people = seen
            self.captured.complete.add(mapping.name)
            self.captured.rows[mapping.name] = rows
            self._spool_missing(mapping, seen)

    def _spool(
        self,
        mapping: Mapping,
        columns: Sequence[str],
        parsed: Sequence[tuple[str, Sequence[object]]],
        seen: bytearray,
    ) -> int:
        known = self.contacts.observed(mapping.name, [key for key, _ in parsed])
        entries: list[tuple[str, Staged, str]] = []
        fresh: set[str] = set()
        for key, row in self._with_contact(mapping, parsed, known):
            record = known.get(key)
            staged = observe(mapping, columns, row, self.zone)
            if record is not None and _mark(seen, record.ref):
                text = f"the key has more than one row: {_told(staged.values.items())}, and another"
                entries.append((key, Staged(duplicate=text, had_row=record.row), ""))
                continue
            fresh.add(key)
            if record is None or not _as_before(record, staged):
                staged = replace(staged, had_row=record is not None and record.row)
                entries.append((key, staged, self._address(mapping, staged)))
        if entries:
            self.spool.put(mapping.name, entries)
        return len(fresh)

    def _with_contact(
        self,
        mapping: Mapping,
        parsed: Sequence[tuple[str, Sequence[object]]],
        known: Dict[str, Seen],
    ) -> Iterator[tuple[str, Sequence[object]]]:
        """Yield the rows that have a contact, and count those that have none any more."""
        captured = self.captured
        if mapping.name == captured.identity:
            yield from parsed
            return
        strangers = [key for key, _ in parsed if key not in known]
        new = self.spool.having(captured.identity, strangers)
        for key, row in parsed:
            record = known.get(key)
            was = record is not None and record.present
            if record is None:
                exists = key in new
            else:
                exists = was if captured.people is None else captured.has(record.ref)
            if not exists and captured.identity not in captured.failures:
                captured.orphans += 1
            # Identity may turn out to be held: then nobody who was there is gone.
            if exists or was:
                yield key, row

    def _address(self, mapping: Mapping, staged: Staged) -> str:
        email = staged.values.get(EMAIL) if mapping.name == self.captured.identity else None
        return email_key(email) if isinstance(email, str) else ""

    def _spool_missing(self, mapping: Mapping, seen: bytearray) -> None:
        missing = self.captured.readings[mapping.name].missing
        for batch in self.contacts.unseen(mapping.name, seen, missing):
            self.spool.put(
                mapping.name,
                [
                    (key, Staged(row=False, had_row=had_row, fingerprint=missing), "")
                    for key, had_row in batch
                ],
            )

    def _note_rejected(self, mapping: Mapping, rejected: Sequence[Invalid]) -> None:
        room = MOST_LISTED - len(self.captured.unkeyed)
        self.captured.unkeyed.extend(rejected[: max(room, 0)])
        self.captured.unkeyed_count[mapping.name] = len(rejected)


def _mark(seen: bytearray, ref: int) -> bool:
    """Set a contact's bit; return whether it was set before."""
    place, bit = divmod(ref, 8)
    if place >= len(seen):
        seen.extend(bytes(place + 4096 - len(seen)))
    before = bool(seen[place] & (1 << bit))
    seen[place] |= 1 << bit
    return before


def _marked(seen: bytearray, ref: int) -> bool:
    """Tell whether a contact's bit is set."""
    place, bit = divmod(ref, 8)
    return place < len(seen) and bool(seen[place] & (1 << bit))


def _as_before(record: Seen, staged: Staged) -> bool:
    """Tell whether an observation was settled before; what is unusable is judged every time."""
    return record.present and record.fingerprint == staged.fingerprint and not staged.errors


def _keyed(
    mapping: Mapping,
    columns: Sequence[str],
    batch: Iterable[Sequence[object]],
    rejected: list[Invalid],
) -> Iterable[tuple[str, Sequence[object]]]:
    place = columns.index(KEY_COLUMN)
    for row in batch:
        try:
            yield canonical_key(row[place]), row
        except InvalidValue as error:
            told = _told(zip(columns, row, strict=True))
            rejected.append(
                Invalid(
                    mapping=mapping.name,
                    external_id=None,
                    code=error.code,
                    message=f"{error.message}; the row is {told}",
                )
            )


def _told(values: Iterable[tuple[str, object]]) -> str:
    pairs = (f"{name}={_shortened(repr(value), MOST_OF_A_VALUE)}" for name, value in values)
    return _shortened(", ".join(pairs), MOST_OF_A_ROW)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"


def observe(
    mapping: Mapping, columns: Sequence[str], row: Sequence[object], zone: tzinfo
) -> Staged:
    """Return one row in canonical values, with the codes of those that have none."""
    values: dict[str, Value] = {}
    errors: dict[str, tuple[str, str]] = {}
    for column, raw in zip(columns, row, strict=True):
        if column == KEY_COLUMN:
            continue
        try:
            values[column] = _checked(column, canonical(raw, _cast(mapping, column), zone))
        except InvalidValue as error:
            errors[column] = (error.code, error.message)
    return Staged(
        values=values, errors=errors, fingerprint=fingerprint(values, _salt(mapping, zone))
    )


def _cast(mapping: Mapping, column: str) -> FieldType | None:
    declared = mapping.settings_of(column).type
    if is_tags(column):
        return declared or "json"
    return declared if declared is not None or column not in ATTRIBUTES else "string"


def _checked(column: str, value: Value) -> Value:
    if column == SOURCE and value is not None and value not in SOURCES:
        raise InvalidValue(
            "source_unknown", f"{value!r} is not one of {', '.join(sorted(SOURCES))}"
        )
    if is_tags(column) and value is not None:
        if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
            raise InvalidValue("tags_malformed", f"{column} has to be a list of texts")
        return [*sorted({tag for tag in value if isinstance(tag, str)})]
    return value


def _salt(mapping: Mapping, zone: tzinfo) -> str:
    # An edited file or another zone may read the same row differently, so all is looked at anew.
    return f"{mapping.digest} {zone}"


def missing_fingerprint(mapping: Mapping, columns: Iterable[str], zone: tzinfo) -> bytes:
    """Return what stands for `a complete read of this mapping had no row`.

    `columns` are those that it would have had values in.
    """
    return fingerprint([*sorted(columns)], f"missing {_salt(mapping, zone)}")


def capture(
    source: Source,
    mappings: Dict[str, Mapping],
    due: Iterable[str],
    *,
    contacts: Contacts,
    records: Dict[str, MappingRecord],
    spool: Spool,
    zone: tzinfo,
    beside: Callable[[Snapshot], None] = lambda _: None,
) -> Captured:
    """Read the due mappings in one snapshot; return what was seen beside the spool.

    `beside` is handed the snapshot, to read what else is due in it.
    Raises SourceUnavailable where the snapshot could not be read as a whole, MappingError where
    the mappings contradict each other. A mapping that fails alone is noted, the others are read.
    """
    enabled = {name: mapping for name, mapping in mappings.items() if mapping.enabled}
    wanted = [name for name in enabled if name in set(due)]
    with source.snapshot() as snapshot:
        captured = _describe(snapshot, enabled, records, zone)
        reader = Reader(
            snapshot=snapshot, contacts=contacts, spool=spool, zone=zone, captured=captured
        )
        readable = [name for name in wanted if name not in captured.failures]
        for name in sorted(readable, key=lambda each: each != captured.identity):
            reader.read(enabled[name])
        _read_for_new(reader, enabled)
        beside(snapshot)
    _conclude(captured)
    return captured


def _describe(
    snapshot: Snapshot,
    enabled: Dict[str, Mapping],
    records: Dict[str, MappingRecord],
    zone: tzinfo,
) -> Captured:
    columns: dict[str, tuple[Column, ...]] = {}
    failures: dict[str, str] = {}
    for name, mapping in enabled.items():
        try:
            columns[name] = tuple(snapshot.columns(mapping))
            check_columns(mapping, [column.name for column in columns[name]])
        except (MappingFailed, MappingError) as error:
            columns.pop(name, None)
            failures[name] = str(error)
    names = {
        name: [column.name for column in columns[name]]
        if name in columns
        else _remembered(mapping, records.get(name))
        for name, mapping in enabled.items()
    }
    try:
        identity = check_set(names)
    except MappingError as error:
        # The one that could not be described may well be the one that is missing.
        raise MappingError(
            "\n".join([*failures.values(), error.message]), hint=error.hint
        ) from error
    readings = {
        name: Reading(
            mapping=mapping,
            columns=tuple(column for column in names[name] if column != KEY_COLUMN),
            covers_new=False,
            missing=missing_fingerprint(mapping, names[name], zone),
        )
        for name, mapping in sorted(enabled.items(), key=lambda each: each[0] != identity)
    }
    return Captured(identity=identity, readings=readings, columns=columns, failures=failures)


def _remembered(mapping: Mapping, record: MappingRecord | None) -> list[str]:
    if mapping.columns:
        return list(mapping.columns)
    return [column.name for column in record.columns] if record is not None else []


def _read_for_new(reader: Reader, enabled: Dict[str, Mapping]) -> None:
    """Read what is not due for new contacts alone, so that they arrive whole."""
    captured = reader.captured
    if captured.identity not in captured.complete:
        return
    missing = [n for n in enabled if n not in captured.complete and n not in captured.failures]
    if not missing:
        return
    batches = reader.spool.new_keys(captured.identity)
    keys = list(islice((key for batch in batches for key in batch), MOST_RESTRICTED + 1))
    if not keys:
        return
    for name in missing:
        reader.read(enabled[name], keys if len(keys) <= MOST_RESTRICTED else None)


def _conclude(captured: Captured) -> None:
    for name, reading in captured.readings.items():
        if name not in captured.failures:
            captured.readings[name] = replace(reading, covers_new=True)
