"""Follows a log pass by pass, and reads everything beside it: who differs has to be told."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from meisa_cdc.core.captures import LOG
from meisa_cdc.core.mapping import CONTACTS, Mapping
from meisa_cdc.source.affected.asking import usable_key
from meisa_cdc.source.changelog import wanted
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.snapshot import DatabaseSnapshot
from tests.soundness.running import Missed

#: Why a mapping was read in full: it has no log, or no bookmark that holds, or the log said so.
UNKEPT, UNMARKED, ASKED = "unkept", "unmarked", "asked"
Rows = dict[str, list[str]]


def mapping(text: str, *, name: str = "contacts/x", capture: str = LOG) -> Mapping:
    """Return a mapping with this text."""
    return Mapping(name=name, text=text, digest=text, kind=CONTACTS, capture=capture)


def told_of(database: AppDatabase, mappings: Sequence[Mapping]) -> dict[str, list[str]]:
    """Return the columns that a log has to tell of, by full name of the table."""
    found: dict[str, set[str]] = {}
    with database.snapshot() as snapshot:
        for each in mappings:
            for table, columns in wanted(snapshot.derivation(each)).items():
                found.setdefault(table, set()).update(columns)
    return {table: sorted(columns) for table, columns in sorted(found.items())}


@dataclass(slots=True)
class Follower:
    """Does what a pass does, and remembers what it stands for."""

    database: AppDatabase
    mappings: Sequence[Mapping]
    #: Identity and place, by mapping.
    bookmarks: dict[str, tuple[str, int]] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    #: Keys that the last pass was told, or why everything was read.
    found: dict[str, list[str] | str] = field(default_factory=dict)
    #: Place that the last pass may acknowledge.
    upto: int | None = None

    def look(self, *, acknowledge: bool = True) -> dict[str, list[str] | str]:
        """Return the keys that are told of each mapping, or why it was read. Raises Missed."""
        with self.database.snapshot() as snapshot:
            kinds = {each.name: snapshot.capture(each) for each in self.mappings}
            logged = [each for each in self.mappings if kinds[each.name].kind == LOG]
            trails = {
                each.name: snapshot.trail(each, self.bookmarks.get(each.name, ("", None))[1])
                for each in logged
            }
            self.found = {each.name: UNKEPT for each in self.mappings}
            for each in logged:
                trail = trails[each.name]
                identity, upto = self.bookmarks.get(each.name, ("", 0))
                holds = identity == trail.identity and trail.reaches(upto)
                self.found[each.name] = UNMARKED
                if holds:
                    self.found[each.name] = self._told(snapshot, each, upto)
            now = {each.name: _rows(snapshot, each) for each in self.mappings}
            self.upto = snapshot.upto() if logged else None
        for name, rows in now.items():
            self._compare(name, rows)
            if name in trails and self.upto is not None:
                self.bookmarks[name] = trails[name].identity, self.upto
        if acknowledge:
            self.acknowledge()
        return self.found

    def acknowledge(self) -> None:
        """Let the log forget what the last pass saw."""
        if self.upto is not None:
            self.database.acknowledge(self.upto)

    def why(self, each: Mapping) -> str:
        """Return why a mapping has the capture that it has."""
        with self.database.snapshot() as snapshot:
            return snapshot.capture(each).why

    def _told(self, snapshot: DatabaseSnapshot, each: Mapping, upto: int) -> list[str] | str:
        found = snapshot.changed(each, upto)
        return ASKED if found is None else sorted(key for batch in found for key in batch)

    def _compare(self, name: str, now: Rows) -> None:
        before, self.rows[name] = self.rows.get(name, {}), now
        told = self.found[name]
        differing = {key for key in before | now if before.get(key) != now.get(key)}
        if not isinstance(told, str) and not differing <= set(told):
            message = f"{name}: {sorted(differing - set(told))} changed, told of {told}"
            raise Missed(message)


def _rows(snapshot: DatabaseSnapshot, each: Mapping) -> Rows:
    names = [column.name for column in snapshot.columns(each)]
    found = defaultdict(list)
    for batch in snapshot.read(each):
        for row in batch:
            key = usable_key(row[names.index("external_id")])
            if key is not None:
                found[key].append(repr(tuple(row)))
    return {key: sorted(rows) for key, rows in found.items()}
