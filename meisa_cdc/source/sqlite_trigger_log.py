"""SQLite: reading the log of changed rows that triggers write.

What a snapshot sees of the log is what it sees of the tables, since both are one file. One writes
at a time, so changes are committed in the order of their numbers. Nobody acknowledges anything: a
bookmark is the number of the last change and the token that was drawn with it. A file that was
restored and written on has another token there.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.affected.asking import Behind
from meisa_cdc.source.affected.imaging import PLACE
from meisa_cdc.source.changelog import Columns, Kept, Standing, Told
from meisa_cdc.source.dialects import SQLITE
from meisa_cdc.source.sqlite_schema import Schema, Table
from meisa_cdc.source.sqlite_triggers import (
    RING,
    TOKEN,
    Telling,
    changes_of,
    mark_of,
    said_by,
    triggers,
)
from meisa_cdc.source.trigger_names import VERSION, Names

SET_UP_ANEW = "Run `meisa-cdc capture setup` again."
CONTROL = "select version, epoch, began, place, token from {log}"
DRAWN_AT = "select {token} from {changes} where {place} = ?"
ANY_BEHIND = "select 1 from {changes} where {place} > ? limit 1"
#: Places of bookmarks are told apart by so many bits of chance below the number.
BITS = 64
#: Runs one statement with its values and returns all rows.
Execute: TypeAlias = Callable[[str, Sequence[object]], Sequence[Sequence[Any]]]


def place_of(number: int, token: int) -> int:
    """Return a place in the log: where, and on which of all ways that history could have taken."""
    return (number << BITS) | (token & ((1 << BITS) - 1))


@dataclass(slots=True, kw_only=True)
class SqliteTriggerLog:
    """`ChangeLog` by triggers, beside a snapshot of SQLite."""

    execute: Execute
    schema: Schema
    #: Of the schema: another one after each change of it.
    cookie: int
    #: What the log is called.
    name: str
    #: There is nothing to acknowledge: the log lets go of what is old by itself.
    seen: None = None
    _standing: Standing | FullScan | None = None
    _tables: dict[str, Table] = field(default_factory=dict)
    #: Number and token of the last change, and the token of none.
    _last: tuple[int, int, int] = (0, 0, 0)

    def exists(self) -> bool:
        """Tell whether anybody set it up."""
        return self.schema.named("table", Names(name=self.name).log) is not None

    def standing(self) -> Standing | FullScan:
        """Return what the triggers tell of, or why the log cannot be used."""
        if self._standing is None:
            self._standing = self._found()
        return self._standing

    def _found(self) -> Standing | FullScan:
        names = Names(name=self.name)
        entry = self.schema.named("table", names.log)
        unlike = FullScan(
            reason=f"{names.log} is not as this version sets it up", advice=SET_UP_ANEW
        )
        if entry is None or any(f"{each} " not in entry.sql for each in ("epoch", "began")):
            return unlike
        rows = self.execute(CONTROL.format(log=SQLITE.quoted(names.log)), [])
        if len(rows) != 1 or rows[0][0] != VERSION:
            return unlike
        _, epoch, began, place, token = rows[0]
        self._last = place, token, began
        kept = {}
        for table, telling in told_tables(self.schema, names).items():
            self._tables[telling.table.quoted] = telling.table
            before, told = frozenset(telling.kept), frozenset(telling.told)
            kept[telling.table.quoted] = Kept(before=before, told=told, shape=table)
        return Standing(
            # After any change of the schema it is another one: a table that was made anew under
            # its old name holds what no trigger told of.
            identity=f"triggers {self.name} {epoch} {self.cookie}",
            start=max(0, place - RING) << BITS,
            end=place_of(place, token),
            tables=kept,
            passed=self._passed,
        )

    def _passed(self, place: int) -> bool:
        """Tell whether the change of a number was the one with that token."""
        number, token, began = self._last
        if place == place_of(number, token):
            return True
        if place >> BITS == 0:
            return place == place_of(0, began) and number <= RING
        found = (
            self.execute(
                DRAWN_AT.format(token=TOKEN, changes=SQLITE.quoted(each), place=PLACE),
                [place >> BITS],
            )
            for each in self._images()
        )
        return any(place == place_of(place >> BITS, t) for rows in found for (t,) in rows)

    def _images(self) -> Iterator[str]:
        names = Names(name=self.name)
        for each in self.schema.entries:
            if each.kind == "table" and each.name.startswith(f"{names.changes}_"):
                yield each.name

    def told(self, wanted: Columns, since: int | None) -> Told | FullScan:
        """Return which tables changed since a place; their images are asked where they are."""
        standing = self.standing()
        if isinstance(standing, FullScan):
            return standing
        number, token, _ = self._last
        place = number if since is None else since >> BITS
        changed = [table for table in wanted if table in standing.tables]
        changed = [table for table in changed if place < number and self._any(table, place)]
        return Told(
            changes=Behind(place=place, tables=frozenset(changed)), upto=place_of(number, token)
        )

    def _any(self, table: str, place: int) -> bool:
        changes = SQLITE.quoted(changes_of(Names(name=self.name), self._tables[table].name))
        rows = self.execute(ANY_BEHIND.format(changes=changes, place=PLACE), [place])
        return bool(rows)


def told_tables(schema: Schema, names: Names) -> dict[str, Telling]:
    """Return what is told of each table, by its name; what is not told exactly is left out."""
    found: dict[str, Telling] = {}
    for entry in schema.entries:
        if entry.kind != "trigger" or entry.name != _of(names, entry.table, "inserted"):
            continue
        said, table = said_by(entry.sql), schema.table(entry.table)
        if said is None or table is None or table.unfit:
            continue
        told, kept = said
        if not {*told, *kept} <= table.columns.keys():
            continue
        telling = Telling(table=table, told=told, kept=kept)
        if _is_whole(schema, names, telling):
            found[table.name] = telling
    return found


def _of(names: Names, table: str, word: str) -> str:
    return f"{names.name}_{mark_of(table)}_{word}"


def _is_whole(schema: Schema, names: Names, telling: Telling) -> bool:
    """Tell whether all triggers are there, as they were made, and before those of others.

    SQLite runs those first that were made last; what others do may end a statement halfway.
    """
    there = {e.name: e for e in schema.triggers_on(telling.table.name)}
    ours = triggers(names, telling)
    if schema.named("table", changes_of(names, telling.table.name)) is None:
        return False
    if any(name not in there or there[name].sql != sql for name, sql in ours.items()):
        return False
    first = min(there[name].number for name in ours)
    # Those of another log of ours end nothing.
    others = (e for e in there.values() if said_by(e.sql) is None)
    return all(each.number < first for each in others)


def parts_of(schema: Schema, names: Names) -> Collection[tuple[str, str]]:
    """Return the kinds and names of whatever there is of a log."""
    log, changes = re.escape(names.log), re.escape(names.changes)
    patterns = {
        "table": re.compile(rf"{log}|{changes}_[0-9a-f]{{8}}"),
        "trigger": re.compile(
            rf"{re.escape(names.name)}_[0-9a-f]{{8}}_(insert|update|delete)d?(ed)?"
        ),
    }
    return [
        (each.kind, each.name)
        for each in schema.entries
        if each.kind in patterns and patterns[each.kind].fullmatch(each.name)
    ]
