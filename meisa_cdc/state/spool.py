"""A pass's observations, in a temporary SQLite file that is private and leaves nothing behind."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import Compiled

from meisa_cdc.core.contact import Claim, Staged
from meisa_cdc.state.bulk import among, bound
from meisa_cdc.state.failures import translated

#: Keys or addresses a batch of the iterators.
PAGE = 1000
#: Observations read at a time.
ROWS = 2000
#: Characters of a row that a message about a duplicate shows.
SHOWN = 200
PLACE = "The temporary file of this pass"
#: In place of a mapping: the key is looked at, whatever was observed.
_TOUCHED = 0
_ROW, _HAD_ROW = 1, 2

_staged = Table(
    "staged",
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("mapping", Integer, primary_key=True, autoincrement=False),
    # Bits: _ROW, _HAD_ROW.
    Column("kind", Integer, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    # JSON; NULL stands for empty.
    Column("fields", LargeBinary),
    Column("place", Integer),
    Column("email", Text),
    # JSON of what few rows have: errors, and the text about a duplicate.
    Column("faults", LargeBinary),
    # The values of a second row with the key.
    Column("clash", LargeBinary),
    Index("staged_email", "mapping", "email", sqlite_where=text("email <> ''")),
    sqlite_with_rowid=False,
)
_s = _staged.c

_DIALECT = sqlite.dialect(paramstyle="named")


def _ready(statement: ClauseElement) -> Compiled:
    """Return a statement for the driver alone, which is much faster by itself."""
    return statement.compile(dialect=_DIALECT)


# What is bound for each row costs more than all else of it, so rare things share a column.
_add = sqlite.insert(_staged).values(
    {column.name: bindparam(column.name) for column in _staged.columns if column is not _s.clash}
)
_PUT = str(
    _add.on_conflict_do_update(
        index_elements=[_s.key, _s.mapping],
        set_={"clash": text("coalesce(clash, excluded.fields, CAST('{}' AS BLOB))")},
    ).compile(dialect=sqlite.dialect())
)
_TOUCH = str(_add.on_conflict_do_nothing().compile(dialect=sqlite.dialect()))
_CREATE = [_ready(CreateTable(_staged)), *(_ready(CreateIndex(each)) for each in _staged.indexes)]
_HAS_ROW = text(f"kind & {_ROW}")
_DROP = _ready(delete(_staged).where(_s.mapping == bindparam("mapping")))
_HAVING = _ready(
    select(_s.key).where(
        _s.mapping == bindparam("mapping"), _HAS_ROW, among(_s.key, "keys", file=True)
    )
)
_NEW_KEYS = _ready(
    select(_s.key)
    .where(_s.mapping == bindparam("mapping"), _s.kind == _ROW)
    .where(_s.key > bindparam("after"))
    .order_by(_s.key)
    .limit(PAGE)
)
_WITH_EMAIL = _s.mapping == bindparam("mapping"), text("email <> ''")
_CLAIMS = _ready(
    select(_s.email, _s.key)
    .where(*_WITH_EMAIL, among(_s.email, "emails", file=True))
    .order_by(_s.email, _s.key)
)
_ADDRESSES = _ready(select(_s.key, _s.email).where(*_WITH_EMAIL, among(_s.key, "keys", file=True)))
_EMAILS = _ready(
    select(_s.email)
    .where(*_WITH_EMAIL, _s.email > bindparam("after"))
    .group_by(_s.email)
    .order_by(_s.email)
    .limit(PAGE)
)
_ROWS = _ready(
    select(_staged)
    .where(tuple_(_s.key, _s.mapping) > tuple_(bindparam("key"), bindparam("number")))
    .order_by(_s.key, _s.mapping)
    .limit(ROWS)
)


class TemporarySpool:
    """`ports.Spool` in a temporary file.

    SQLite gives it no name, so that it is gone with the process, however that ends. One thread
    at a time. Raises StateUnavailable where the folder for temporary files is full.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._connection = _connect()
        for statement in _CREATE:
            self._connection.execute(str(statement))

    def put(self, mapping: str, entries: Sequence[tuple[str, Staged, str]]) -> None:
        """Add (key, observation, email_key or '') entries of one mapping.

        A key that is there already becomes a duplicate that names both rows.
        """
        number = self._numbers.setdefault(mapping, len(self._numbers) + 1)
        self._write(_PUT, [_row(key, number, staged, email) for key, staged, email in entries])

    def touch(self, keys: Sequence[str]) -> None:
        """Make sure these keys are looked at, whether or not anything was observed."""
        nothing = Staged(row=False)
        self._write(_TOUCH, [_row(key, _TOUCHED, nothing, "") for key in keys])

    def drop(self, mapping: str) -> None:
        """Forget everything of one mapping: its read failed."""
        with translated(PLACE):
            self._connection.execute(str(_DROP), {"mapping": self._number(mapping)})

    def having(self, mapping: str, keys: Sequence[str]) -> set[str]:
        """Return those of the keys for which the mapping has a row here."""
        rows = self._rows(_HAVING, mapping=self._number(mapping), keys=bound(keys, file=True))
        return {row[0] for row in rows}

    def new_keys(self, mapping: str) -> Iterator[Sequence[str]]:
        """Yield batches of keys of the mapping's rows whose contact had no row before."""
        yield from self._pages(_NEW_KEYS, mapping)

    def claims(self, mapping: str, email_keys: Sequence[str]) -> list[Claim]:
        """Return the contacts observed with these addresses in this pass (`holds` is False)."""
        emails = bound(email_keys, file=True)
        # By position, since every contact of a first load comes along here twice.
        return [
            Claim(key, email, False, True)  # noqa: FBT003
            for email, key in self._rows(_CLAIMS, mapping=self._number(mapping), emails=emails)
        ]

    def addresses(self, mapping: str, keys: Sequence[str]) -> dict[str, str]:
        """Return the case-folded addresses that these contacts were observed with in this pass."""
        rows = self._rows(_ADDRESSES, mapping=self._number(mapping), keys=bound(keys, file=True))
        return dict(rows)

    def emails(self, mapping: str) -> Iterator[Sequence[str]]:
        """Yield batches of the distinct case-folded addresses seen in this pass."""
        yield from self._pages(_EMAILS, mapping)

    def contacts(self, size: int = 500) -> Iterator[Sequence[tuple[str, dict[str, Staged]]]]:
        """Yield batches of (key, observation by mapping) in code point order of the keys."""
        names = {number: name for name, number in self._numbers.items()}
        batch: list[tuple[str, dict[str, Staged]]] = []
        before: str | None = None
        staged: dict[str, Staged] = {}
        for row in self._all():
            key, number = row[:2]
            if key != before:
                if len(batch) == size:
                    yield batch
                    batch = []
                before, staged = key, {}
                batch.append((key, staged))
            if number != _TOUCHED:
                staged[names[number]] = _staged_of(row)
        if batch:
            yield batch

    def _all(self) -> Iterator[tuple[Any, ...]]:
        after: tuple[str, int] = "", -1
        while rows := self._rows(_ROWS, key=after[0], number=after[1]):
            yield from rows
            after = rows[-1][:2]

    def close(self) -> None:
        """Delete everything."""
        self._connection.close()

    def _number(self, mapping: str) -> int:
        return self._numbers.get(mapping, -1)

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        with translated(PLACE):
            self._connection.execute("BEGIN")
            self._connection.executemany(statement, rows)
            self._connection.execute("COMMIT")

    def _rows(self, statement: Compiled, **parameters: Any) -> list[tuple[Any, ...]]:
        with translated(PLACE):
            bound_to = {**statement.params, **parameters}
            return self._connection.execute(str(statement), bound_to).fetchall()

    def _pages(self, statement: Compiled, mapping: str) -> Iterator[Sequence[str]]:
        after = ""
        while rows := self._rows(statement, mapping=self._number(mapping), after=after):
            found = [row[0] for row in rows]
            yield found
            after = found[-1]


def _connect() -> sqlite3.Connection:
    # An empty name: SQLite makes a file of its own, readable by us alone, and unlinks it at once.
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -32768")
    return connection


def _row(key: str, mapping: int, staged: Staged, email: str) -> tuple[Any, ...]:
    values, errors, fingerprint, row, had_row, duplicate, place = staged
    return (
        key,
        mapping,
        row * _ROW + had_row * _HAD_ROW,
        fingerprint,
        orjson.dumps(values) if values else None,
        place,
        email or None,
        orjson.dumps([errors or {}, duplicate]) if errors or duplicate else None,
    )


def _staged_of(stored: tuple[Any, ...]) -> Staged:
    # By position: a name a column would cost more than all the rest.
    _, _, kind, fingerprint, fields, place, _, faults, clash = stored
    row, had_row = kind & _ROW == _ROW, kind & _HAD_ROW == _HAD_ROW
    values = orjson.loads(fields) if fields else {}
    if faults is None and clash is None:
        return Staged(values, {}, fingerprint, row, had_row, "", place)
    errors, duplicate = orjson.loads(faults) if faults else ({}, "")
    return Staged(
        values,
        {name: (code, text) for name, (code, text) in errors.items()},
        fingerprint,
        row,
        had_row,
        duplicate or (_both(fields or b"{}", clash) if clash else ""),
        place,
    )


def _both(one: bytes, other: bytes) -> str:
    return f"the key occurs more than once: {_short(one)} and {_short(other)}"


def _short(fields: bytes) -> str:
    values = fields.decode()
    return values if len(values) <= SHOWN else values[:SHOWN] + "…"
