"""SQLite: the statements that make a log of changed rows out of triggers.

The log is a ring: each change deletes what lies far behind it, and nobody else ever does. So
whoever reads the log writes nothing. One control row counts, which costs nobody a wait where there
is one writer at a time anyway.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping as Dict
from dataclasses import dataclass

from meisa_cdc.source.affected.imaging import PLACE, WAS
from meisa_cdc.source.dialects import SQLITE
from meisa_cdc.source.sqlite_schema import BINARY, Column, Part, Table
from meisa_cdc.source.trigger_names import VERSION, Names

#: Changes that are kept of each table.
RING = 100_000
TOKEN = "meisa_token"  # noqa: S105 - tells one history from another, and opens nothing
#: What a trigger tells of, as it says itself.
SAYS = re.compile(r"/\* (\{.*?\}) \*/")
#: A table in what a trigger of ours does.
NAMED = re.compile(r'\b(?:into|update|from) "((?:[^"]|"")+)"')
CONTROL = """
create table {log} (
    one integer primary key, version integer, epoch text, began integer, place integer,
    token integer)
"""
BEGIN = """
insert into {log} values (1, {version}, lower(hex(randomblob(16))), 0, 0, random())
"""
BEGUN = "update {log} set began = token"
IMAGES = """
create table {changes} (
    {place} integer primary key, {token} integer, {was} integer{columns})
"""
COUNT = "update {log} set place = place + {by}, token = random()"
# What stood at a place already is of a history that was put back by hand.
WRITE = "insert or replace into {changes} select {values} from {log} as l{where}"
THERE = "exists (select 1 from {table} as t where {matches})"
FORGET = "delete from {changes} where {place} <= (select place - {ring} from {log})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What is told of one table."""

    table: Table
    #: Columns whose changes are told, in small letters.
    told: tuple[str, ...]
    #: Those of them whose values are kept.
    kept: tuple[str, ...]

    @property
    def says(self) -> str:
        """Itself, as a trigger says it."""
        said = json.dumps({"told": self.told, "kept": self.kept}).replace("*/", "*\\/")
        return f"/* {said} */"


def said_by(trigger: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the columns that a trigger of ours says it tells and keeps; None: it is none."""
    found = SAYS.search(trigger)
    if found is None:
        return None
    try:
        said = json.loads(found.group(1))
        return tuple(map(str, said["told"])), tuple(map(str, said["kept"]))
    except (ValueError, KeyError, TypeError):
        return None


def tables_in(trigger: str) -> set[str]:
    """Return the names of the tables that a trigger of ours needs."""
    return {name.replace('""', '"') for name in NAMED.findall(trigger)}


def mark_of(table: str) -> str:
    """Return what the parts that belong to a table are called by."""
    return hashlib.sha256(table.lower().encode()).hexdigest()[:8]


def changes_of(names: Names, table: str) -> str:
    """Return the name of the table that holds images of a table's rows."""
    return f"{names.changes}_{mark_of(table)}"


def tables(names: Names, telling: Dict[str, Telling]) -> Iterator[str]:
    """Yield the statements that make the log's own tables."""
    log = SQLITE.quoted(names.log)
    yield CONTROL.strip().format(log=log)
    yield BEGIN.strip().format(log=log, version=VERSION)
    yield BEGUN.format(log=log)
    for each in telling.values():
        columns = "".join(
            f", {SQLITE.quoted(name)} {each.table.columns[name].type}" for name in each.kept
        )
        changes = SQLITE.quoted(changes_of(names, each.table.name))
        yield IMAGES.strip().format(
            changes=changes, place=PLACE, token=TOKEN, was=WAS, columns=columns
        )


def triggers(names: Names, telling: Telling) -> dict[str, str]:
    """Return the statements that make the triggers on a table, by their names."""
    return _Triggers(names, telling).all()


class _Triggers:
    """The triggers on one table."""

    def __init__(self, names: Names, telling: Telling) -> None:
        self._names = names
        self._telling = telling
        self._table = telling.table
        self._log = SQLITE.quoted(names.log)
        self._changes = SQLITE.quoted(changes_of(names, telling.table.name))
        self._keys = [*([((self._table.rowid, BINARY, ""),)] if self._table.rowid else ())]
        self._keys += self._table.unique

    def all(self) -> dict[str, str]:
        """Return the statements, by the names of the triggers."""
        changed = " or ".join(self._differs(each) for each in self._telling.told)
        written = {
            "inserted": ("after insert", "", [self._count(1), self._row("new", was=False)]),
            "deleted": ("after delete", "", [self._count(1), self._row("old", was=True)]),
            # The last place has to be taken: it is what bookmarks know the log by.
            "updated": ("after update", changed, list(self._updated())),
        }
        if self._keys:
            pushed = [line for key in self._keys for line in self._pushed_out(key)]
            there = [self._there(key) for key in self._keys]
            moved = (f"({self._moves(key)}) and {self._there(key)}" for key in self._keys)
            written["insert"] = ("before insert", " or ".join(there), pushed)
            written["update"] = ("before update", " or ".join(moved), pushed)
        return {
            name: text for word, each in written.items() for name, text in self._one(word, *each)
        }

    def _one(self, word: str, event: str, when: str, lines: list[str]) -> Iterator[tuple[str, str]]:
        name = f"{self._names.name}_{mark_of(self._table.name)}_{word}"
        forget = FORGET.format(changes=self._changes, log=self._log, place=PLACE, ring=RING)
        head = f"CREATE TRIGGER {SQLITE.quoted(name)} {event} on {self._table.quoted} for each row"
        condition = f"\nwhen {when}" if when else ""
        body = "".join(f"\n  {line};" for line in (*lines, forget))
        yield name, f"{head}{condition} begin {self._telling.says}{body}\nend"

    def _updated(self) -> Iterator[str]:
        yield self._count(2)
        if self._telling.kept:
            yield self._row("new", was=False, behind=1)
        yield self._row("old", was=True)

    def _count(self, by: int, where: str = "") -> str:
        return COUNT.format(log=self._log, by=by) + where

    def _row(self, image: str, *, was: bool, behind: int = 0) -> str:
        """Return what writes an image; of an update, the new one only where it is another."""
        columns = (f"{image}.{SQLITE.quoted(self._at(each).name)}" for each in self._telling.kept)
        place = f"l.place - {behind}" if behind else "l.place"
        values = ", ".join((place, "l.token", "1" if was else "0", *columns))
        differs = " or ".join(self._differs(each) for each in self._telling.kept)
        where = f" where {differs}" if behind else ""
        return WRITE.format(changes=self._changes, values=values, log=self._log, where=where)

    def _at(self, column: str) -> Column:
        return self._table.columns[column]

    def _differs(self, column: str) -> str:
        """Return the condition that an update changes a column's value, or how it is stored."""
        known = self._at(column)
        old, new = (f"{image}.{SQLITE.quoted(known.name)}" for image in ("old", "new"))
        binary = "" if known.collation == BINARY else " collate binary"
        found = f"{old} is not {new}{binary}"
        if known.type == "blob":
            # 1 and 1.0 are equal, and so are 0.0 and -0.0.
            real = f"(typeof({new}) = 'real' and {new} = 0)"
            found += f" or typeof({old}) <> typeof({new}) or {real}"
        return found

    # ---- rows that REPLACE pushes out, without a trigger of theirs

    def _match(self, key: tuple[Part, ...]) -> str:
        return " and ".join(
            f"t.{_name(column)} = {_given(column, default)} collate {collation}"
            for column, collation, default in key
        )

    def _there(self, key: tuple[Part, ...]) -> str:
        return THERE.format(table=self._table.quoted, matches=self._match(key))

    def _moves(self, key: tuple[Part, ...]) -> str:
        return " or ".join(
            f"{_given(column, default)} is not old.{_name(column)} collate binary"
            for column, _, default in key
        )

    def _pushed_out(self, key: tuple[Part, ...]) -> Iterator[str]:
        yield self._count(1, f" where {self._there(key)}")
        columns = (f"t.{SQLITE.quoted(self._at(each).name)}" for each in self._telling.kept)
        values = ", ".join(("l.place", "l.token", "1", *columns))
        where = f", {self._table.quoted} as t where {self._match(key)}"
        yield WRITE.format(changes=self._changes, values=values, log=self._log, where=where)


def _name(column: str) -> str:
    return column if column in ("rowid", "_rowid_", "oid") else SQLITE.quoted(column)


def _given(column: str, default: str) -> str:
    new = f"new.{_name(column)}"
    return f"coalesce({new}, {default})" if default else new


def creation(names: Names, telling: Dict[str, Telling]) -> Iterator[str]:
    """Yield the statements that make a log where there is nothing of it."""
    yield from tables(names, telling)
    for each in telling.values():
        yield from triggers(names, each).values()


def removal(found: Collection[tuple[str, str]]) -> Iterator[str]:
    """Yield the statements that remove parts of a log: their kinds and names."""
    order = {"trigger": 0, "table": 1}
    for kind, name in sorted(found, key=lambda each: (order[each[0]], each[1])):
        yield f"drop {kind} if exists {SQLITE.quoted(name)}"
