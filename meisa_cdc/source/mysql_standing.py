"""MySQL and MariaDB: what triggers and tables a log by triggers has, as its owner sees them."""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.dialects import MYSQL
from meisa_cdc.source.mysql_triggers import (
    CHARSET,
    EVENTS,
    MODES,
    NUMBER,
    body,
    note,
    told_by,
    trigger,
    trigger_name,
)
from meisa_cdc.source.trigger_names import Names

SET_UP_ANEW = "Run `meisa-cdc capture setup --by triggers` again."
#: A statement of the app's that changes many rows would have all others wait, or fail.
ONE_BY_ONE = "innodb_autoinc_lock_mode is 0, by which writers wait for one another's numbers"
NUMBER_FREELY = "Start the server with 1 or 2."
#: Microseconds for which a table counts as new: its time of creation has whole seconds.
YOUNG = 1_100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A trigger or a procedure."""

    table: str
    event: str
    timing: str
    body: str
    modes: frozenset[str]
    owner: str
    #: All there is about it: whatever is done to it, it is another one then.
    shape: str
    charset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableShape:
    """A table."""

    shape: str
    #: Why its changes go past triggers; "": they do not.
    past: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the owner of the log sees."""

    names: Names
    server: tuple[Any, ...]
    texts: dict[str, Text]
    tables: dict[str, TableShape]
    #: Names of columns, by table.
    columns: dict[str, frozenset[str]] = field(default_factory=dict)
    #: Transactions that run.
    running: frozenset[str] = frozenset()

    @classmethod
    def asked(cls, cursor: Any, names: Names) -> "Found":
        """Ask. Raises the driver's errors."""
        cursor.execute(f"call {MYSQL.quoted(names.schema)}.{MYSQL.quoted(names.standing)}()")
        answers = [cursor.fetchall()]
        while cursor.nextset():
            answers.append(cursor.fetchall())
        servers, texts, tables, files, cascading, columns, running, *_ = answers
        places = {_str(name): tuple(file) for name, *file in files}
        cascades = {_str(name) for (name,) in cascading}
        each_columns: dict[str, list[Sequence[Any]]] = {}
        for table, *column in columns:
            each_columns.setdefault(table, []).append(column)
        return cls(
            names=names,
            server=servers[0],
            texts={row[0]: _text(row) for row in texts},
            tables={
                row[0]: _table(
                    (*row, row[0] in cascades),
                    places[row[0]],
                    each_columns.get(row[0], ()),
                )
                for row in tables
                # Of one that is partitioned, each partition has a file of its own.
                if row[0] in places
            },
            columns={
                table: frozenset(str(each[0]) for each in known)
                for table, known in each_columns.items()
            },
            running=frozenset(f"{thread} {started}" for thread, started in running),
        )

    @property
    def identity(self) -> str:
        """Which server it is, and which tables the log is in."""
        parts = [repr(self.server[:3])]
        own = (self.names.changes, self.names.room, self.names.log)
        parts += (self.tables[name].shape for name in own if name in self.tables)
        parts.append(self.texts[self.names.note].shape)
        return _digest(*parts)

    def unfit(self) -> FullScan | None:
        """Return why the log cannot be used at all."""
        *_, numbering, read_only, clustered, replicating = self.server
        if is_on(read_only) or replicating:
            reason = "the server is a replica, or takes no writes"
            return FullScan(reason=reason, advice="Read the primary.")
        if is_on(clustered):
            reason = "the server is one of several that take writes"
            return FullScan(reason=reason, advice="Use another capture.")
        if not is_on(numbering):
            return FullScan(reason=ONE_BY_ONE, advice=NUMBER_FREELY)
        wanted = {self.names.changes, self.names.room, self.names.log}
        if not wanted <= self.tables.keys():
            reason = f"tables of the log {self.names.name} are gone"
            return FullScan(reason=reason, advice=SET_UP_ANEW)
        found = self.texts.get(self.names.note)
        if found is None or not _is(found, body(note(self.names))):
            reason = f"{self.names.note} is not as this version sets it up"
            return FullScan(reason=reason, advice=SET_UP_ANEW)
        return None

    def told(self) -> Iterator[tuple[str, dict[str, bool], str]]:
        """Yield table, columns (whether each is told as a number) and shape, where all is told."""
        for table in sorted({text.table for text in self.texts.values()} & self.tables.keys()):
            found = self.tables[table]
            columns = self.told_of(table)
            if (
                columns is None
                or found.past
                or not columns.keys() <= self.columns.get(table, frozenset())
            ):
                continue
            shapes = (self._trigger(table, columns, event).shape for event in EVENTS)
            numbers = {name: kind == NUMBER for name, kind in columns.items()}
            yield table, numbers, _digest(found.shape, *shapes)

    def told_of(self, table: str) -> dict[str, str] | None:
        """Return the columns that all triggers of a table tell of; None: they do not."""
        for text in self.texts.values():
            said = told_by(text.body)
            if text.table != table or said is None or said[0] != table:
                continue
            columns = said[1]
            if all(self._is_whole(table, columns, event) for event in EVENTS):
                return columns
        return None

    def _trigger(self, table: str, columns: dict[str, str], event: str) -> Text:
        return self.texts[trigger_name(self.names, table, columns, event)]

    def _is_whole(self, table: str, columns: dict[str, str], event: str) -> bool:
        found = self.texts.get(trigger_name(self.names, table, columns, event))
        return (
            found is not None
            and (found.table, found.event, found.timing) == (table, event, "after")
            and _is(found, body(trigger(self.names, table, columns, event)))
        )

    @property
    def triggers(self) -> list[str]:
        """Names of all triggers that look like ours."""
        return sorted(name for name, text in self.texts.items() if text.event)

    @property
    def owner(self) -> str:
        """The account that triggers run as."""
        return next((text.owner for text in self.texts.values()), "")


def _is(found: Text, expected: str) -> bool:
    """Tell whether a text is what we would write, under the settings that we write it under."""
    same = found.body.strip().replace("\r\n", "\n") == expected.strip()
    return same and found.modes == frozenset(MODES.split(",")) and found.charset == CHARSET


def _text(row: Sequence[Any]) -> Text:
    _, table, event, timing, text, modes, owner, created, charset = row
    return Text(
        table=_str(table),
        event=_str(event).lower(),
        timing=_str(timing).lower(),
        body=_str(text),
        modes=frozenset(_str(modes).split(",")),
        owner=_str(owner),
        shape=_digest(_str(text), _str(modes), _str(owner), str(created), _str(charset)),
        charset=_str(charset),
    )


def _table(row: Sequence[Any], file: Sequence[Any], columns: Sequence[Sequence[Any]]) -> TableShape:
    name, engine, options, created, age, cascades = row
    parts = [repr((name, engine, options, str(created), file))]
    if columns and (age is None or age < YOUNG):
        # It may have been altered since, in the same second.
        parts.append(secrets.token_hex(8))
    past = ""
    if cascades:
        past = f"a foreign key changes rows of {name} past triggers (ON DELETE or ON UPDATE)"
    elif _str(engine).lower() != "innodb" or "partitioned" in _str(options).lower():
        past = f"{name} is partitioned, or not InnoDB"
    return TableShape(shape=_digest(*parts, repr(columns)), past=past)


def is_on(setting: Any) -> bool:
    """Tell whether a setting of the server, a number or a word, is anything but off."""
    return _str(setting).upper() not in ("", "0", "OFF", "NONE")


def _str(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
