"""A pass's observations, in a temporary SQLite file that is private and leaves nothing behind."""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    create_engine,
    delete,
    select,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import StaticPool

from meisa_cdc.core.contact import Claim, Staged
from meisa_cdc.state.bulk import among, bound
from meisa_cdc.state.engine import AnyRow
from meisa_cdc.state.failures import translated
from meisa_cdc.state.rows import dumps, loads

#: Keys or addresses a batch of the iterators.
PAGE = 1000
#: Characters of a row that a message about a duplicate shows.
SHOWN = 200
PLACE = "The temporary file of this pass"
#: In place of a mapping: the key is looked at, whatever was observed.
_TOUCHED = 0

_staged = Table(
    "staged",
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("mapping", Integer, primary_key=True, autoincrement=False),
    Column("row", Integer, nullable=False),
    Column("had_row", Integer, nullable=False),
    Column("email", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("fields", Text, nullable=False),
    Column("errors", Text),
    Column("duplicate", Text, nullable=False),
    Column("place", Integer),
    # The values of a second row with the key.
    Column("clash", Text),
    Index("staged_email", "mapping", "email", sqlite_where=text("email <> ''")),
    sqlite_with_rowid=False,
)
_s = _staged.c

_add = sqlite.insert(_staged).values(
    {column.name: bindparam(column.name) for column in _staged.columns}
)
_PUT = str(
    _add.on_conflict_do_update(
        index_elements=[_s.key, _s.mapping],
        set_={"clash": text("coalesce(clash, excluded.fields)")},
    ).compile(dialect=sqlite.dialect())
)
_TOUCH = str(_add.on_conflict_do_nothing().compile(dialect=sqlite.dialect()))
_HAVING = select(_s.key).where(
    _s.mapping == bindparam("mapping"), _s.row == 1, among(_s.key, "keys", file=True)
)
_NEW_KEYS = (
    select(_s.key)
    .where(_s.mapping == bindparam("mapping"), _s.row == 1, _s.had_row == 0)
    .where(_s.key > bindparam("after"))
    .order_by(_s.key)
    .limit(PAGE)
)
_WITH_EMAIL = _s.mapping == bindparam("mapping"), text("email <> ''")
_CLAIMS = (
    select(_s.email, _s.key)
    .where(*_WITH_EMAIL, among(_s.email, "emails", file=True))
    .order_by(_s.email, _s.key)
)
_ADDRESSES = select(_s.key, _s.email).where(*_WITH_EMAIL, among(_s.key, "keys", file=True))
_EMAILS = (
    select(_s.email)
    .where(*_WITH_EMAIL, _s.email > bindparam("after"))
    .group_by(_s.email)
    .order_by(_s.email)
    .limit(PAGE)
)
_ROWS = (
    select(_staged)
    .where(_s.key > bindparam("after"))
    .order_by(_s.key, _s.mapping)
    .limit(bindparam("most"))
)


class TemporarySpool:
    """`ports.Spool` in a temporary file.

    SQLite gives it no name, so that it is gone with the process, however that ends. One thread
    at a time. Raises StateUnavailable where the folder for temporary files is full.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._engine = create_engine(
            "sqlite+pysqlite://",
            creator=_connect,
            poolclass=StaticPool,
            hide_parameters=True,
        )
        with self._engine.connect() as connection:
            _staged.create(connection)

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
        with translated(PLACE), self._engine.connect() as connection:
            connection.execute(delete(_staged).where(_s.mapping == self._number(mapping)))

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
        return [
            Claim(external_id=key, email_key=email, holds=False, observes=True)
            for email, key in self._rows(_CLAIMS, mapping=self._number(mapping), emails=emails)
        ]

    def addresses(self, mapping: str, keys: Sequence[str]) -> dict[str, str]:
        """Return the case-folded addresses that these contacts were observed with in this pass."""
        rows = self._rows(_ADDRESSES, mapping=self._number(mapping), keys=bound(keys, file=True))
        return {key: email for key, email in rows}  # noqa: C416 - rows are no pairs

    def emails(self, mapping: str) -> Iterator[Sequence[str]]:
        """Yield batches of the distinct case-folded addresses seen in this pass."""
        yield from self._pages(_EMAILS, mapping)

    def contacts(self, size: int = 500) -> Iterator[Sequence[tuple[str, dict[str, Staged]]]]:
        """Yield batches of (key, observation by mapping) in code point order of the keys."""
        names = {number: name for name, number in self._numbers.items()}
        # Room for one contact more than is yielded, since the last one may be cut off.
        most = (size + 1) * (len(names) + 1)
        after = ""
        while True:
            rows = self._rows(_ROWS, after=after, most=most)
            found = [(key, list(group)) for key, group in groupby(rows, itemgetter(0))]
            if len(rows) == most:
                found = found[: (len(found) - 1) // size * size]
            for start in range(0, len(found), size):
                yield [
                    (key, _observations(group, names)) for key, group in found[start : start + size]
                ]
            if len(rows) < most:
                return
            after = found[-1][0]

    def close(self) -> None:
        """Delete everything."""
        self._engine.dispose()

    def _number(self, mapping: str) -> int:
        return self._numbers.get(mapping, -1)

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        with translated(PLACE), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql(statement, list(rows))
            connection.exec_driver_sql("COMMIT")

    def _rows(self, statement: Any, **parameters: Any) -> Sequence[AnyRow]:
        with translated(PLACE), self._engine.connect() as connection:
            rows: Sequence[AnyRow] = connection.execute(statement, parameters).all()
        return rows

    def _pages(self, statement: Any, mapping: str) -> Iterator[Sequence[str]]:
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
    return (
        key,
        mapping,
        staged.row,
        staged.had_row,
        email,
        staged.fingerprint,
        dumps(dict(staged.values)),
        dumps(dict(staged.errors)) if staged.errors else None,
        staged.duplicate,
        staged.place,
        None,
    )


def _observations(rows: Sequence[AnyRow], names: dict[int, str]) -> dict[str, Staged]:
    return {names[row[1]]: _staged_of(row) for row in rows if row[1] != _TOUCHED}


def _staged_of(stored: AnyRow) -> Staged:
    # By position: a name a column would cost more than all the rest.
    _, _, row, had_row, _, fingerprint, fields, errors, duplicate, place, clash = stored
    return Staged(
        values=loads(fields),
        errors={name: (code, text) for name, (code, text) in loads(errors).items()}
        if errors
        else {},
        fingerprint=fingerprint,
        row=row == 1,
        had_row=had_row == 1,
        duplicate=duplicate or (_both(fields, clash) if clash else ""),
        place=place,
    )


def _both(one: str, other: str) -> str:
    return f"the key occurs more than once: {_short(one)} and {_short(other)}"


def _short(values: str) -> str:
    return values if len(values) <= SHOWN else values[:SHOWN] + "…"
