"""Capture: one snapshot of the app database into the spool, in constant memory.

Only what differs from what was settled before is spooled. Identity is read first, so that rows
of other mappings without a contact can be told apart as they come. Where the database can add up
its rows, only those are read whose bucket adds up to something else than when it was settled.
"""

from collections.abc import Callable, Iterable, Mapping as Dict
from dataclasses import replace
from datetime import tzinfo
from itertools import islice

from meisa_cdc.core.captures import LOG
from meisa_cdc.core.changelog import Bookmark, Trail
from meisa_cdc.core.contact import KEY_COLUMN
from meisa_cdc.core.errors import MappingError, MappingFailed
from meisa_cdc.core.fields import Reading
from meisa_cdc.core.mapping import Column, Mapping, check_columns, check_set
from meisa_cdc.ports import Contacts, Snapshot, Source, Spool
from meisa_cdc.records import MappingRecord
from meisa_cdc.sync.captured import Captured, Mark
from meisa_cdc.sync.observing import missing_fingerprint
from meisa_cdc.sync.reading import Reader
from meisa_cdc.sync.rows import MOST_RESTRICTED

#: Seconds after which every row is read, whatever the rows add up to.
FULL_EVERY = 86_400.0


def capture(  # noqa: PLR0913 - what a pass consists of
    source: Source,
    mappings: Dict[str, Mapping],
    due: Iterable[str],
    *,
    contacts: Contacts,
    records: Dict[str, MappingRecord],
    spool: Spool,
    zone: tzinfo,
    now: float,
    full_every: float = FULL_EVERY,
    marks: Dict[str, Mark] | None = None,
    beside: Callable[[Snapshot], None] = lambda _: None,
) -> Captured:
    """Read the due mappings in one snapshot; return what was seen beside the spool.

    `now`: epoch seconds; `full_every`: seconds after which every row of a mapping is read,
    whatever its rows add up to; `marks`: those on record, by mapping; `beside` is handed the
    snapshot, to read what else is due in it.

    Raises SourceUnavailable where the snapshot could not be read as a whole, MappingError where
    the mappings contradict each other. A mapping that fails alone is noted, the others are read.
    """
    enabled = {name: mapping for name, mapping in mappings.items() if mapping.enabled}
    wanted = [name for name in enabled if name in set(due)]
    with source.snapshot() as snapshot:
        captured = _describe(snapshot, enabled, records, zone)
        trails = _trails(snapshot, enabled, captured, marks or {})
        reader = Reader(
            snapshot=snapshot,
            contacts=contacts,
            spool=spool,
            zone=zone,
            captured=captured,
            records=records,
            present=contacts.counts().present,
            now=now,
            full_every=full_every,
            marks=marks or {},
            trails=trails,
        )
        _read_due(reader, enabled, wanted)
        for name in sorted(trails.keys() - {*wanted, *captured.failures}):
            reader.put_off(enabled[name])
        reader.conclude()
        beside(snapshot)
    _conclude(captured)
    return captured


def _read_due(reader: Reader, enabled: Dict[str, Mapping], wanted: Iterable[str]) -> None:
    """Read identity, then the others, then what new contacts need of those that are not due."""
    captured = reader.captured
    readable = [name for name in wanted if name not in captured.failures]
    if captured.identity in readable:
        readable.remove(captured.identity)
        reader.read(enabled[captured.identity])
    new = _new_keys(reader)
    crowd = len(new) > MOST_RESTRICTED
    for name in readable:
        reader.read(enabled[name], whole=crowd)
    _read_for_new(reader, enabled, new)


def _trails(
    snapshot: Snapshot, enabled: Dict[str, Mapping], captured: Captured, marks: Dict[str, Mark]
) -> dict[str, Trail]:
    """Return what the log of changed rows tells, by mapping whose changes are found by it."""
    trails = {}
    for name, mapping in enabled.items():
        if name in captured.failures:
            continue
        try:
            captured.captures[name] = snapshot.capture(mapping)
            if captured.captures[name].kind == LOG:
                mark = marks.get(name)
                since = mark.upto if isinstance(mark, Bookmark) else None
                trails[name] = snapshot.trail(mapping, since)
        except (MappingFailed, MappingError) as error:
            captured.failures[name] = str(error)
    return trails


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


def _new_keys(reader: Reader) -> list[str]:
    """Return the contacts that identity has just brought; of very many, a few too many."""
    identity = reader.captured.identity
    if identity not in reader.captured.complete:
        return []
    batches = reader.spool.new_keys(identity)
    return list(islice((key for batch in batches for key in batch), MOST_RESTRICTED + 1))


def _read_for_new(reader: Reader, enabled: Dict[str, Mapping], new: list[str]) -> None:
    """Read for new contacts alone what was not read for them, so that they arrive whole."""
    if not new:
        return
    captured = reader.captured
    for name, mapping in enabled.items():
        read = name in captured.complete and name not in reader.sifted
        if read or name in captured.failures or name == captured.identity:
            continue
        if len(new) > MOST_RESTRICTED:
            reader.read(mapping, whole=True)
        else:
            reader.read_new(mapping, new)


def _conclude(captured: Captured) -> None:
    for name, reading in captured.readings.items():
        if name not in captured.failures:
            captured.readings[name] = replace(reading, covers_new=True)
