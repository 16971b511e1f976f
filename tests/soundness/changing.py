"""Random rows and random changes, with their images, as a log would tell of them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from meisa_cdc.source.affected.asking import Change
from tests.soundness.shapes import TABLES

#: Values are few, so that rows meet.
NUMBERS = (1, 2, 3, 4, 5)
WORDS = ("a", "b", "c")
ROWS = 6


@dataclass(slots=True)
class Data:
    """What the tables hold, and how it becomes so."""

    chance: random.Random
    rows: dict[str, list[dict[str, str | None]]] = field(
        default_factory=lambda: {table: [] for table in TABLES}
    )
    #: The changes since the last time that somebody asked, table by table.
    changes: dict[str, list[Change]] = field(default_factory=dict)
    _last: int = 0

    def first_rows(self) -> Iterator[str]:
        """Yield the statements that fill the tables."""
        for table in TABLES:
            for _ in range(self.chance.randint(1, ROWS)):
                yield self._insert(table)
        self.changes = {}

    def batch(self) -> Iterator[str]:
        """Yield the statements of one or several transactions, mostly on one table or two."""
        tables = self.chance.sample(list(TABLES), self.chance.choice((1, 1, 2, 2, 3, 5)))
        for _ in range(self.chance.choice((1, 1, 2, 3, 5, 8))):
            table = self.chance.choice(tables)
            rows = self.rows[table]
            act = self.chance.random()
            if not rows or (act < 0.3 and len(rows) < 2 * ROWS):
                yield self._insert(table)
            elif act < 0.55:
                yield self._delete(table, self.chance.choice(rows))
            else:
                yield self._update(table, self.chance.choice(rows))

    def _value(self, kind: str) -> str | None:
        if self.chance.random() < 0.15:
            return None
        if kind.startswith(("text", "varchar")):
            return self.chance.choice(WORDS)
        return str(self.chance.choice(NUMBERS)) + (".00" if kind.startswith("numeric") else "")

    def _insert(self, table: str) -> str:
        self._last += 1
        row = {column: self._value(kind) for column, kind in TABLES[table].items()}
        row["rid"] = str(self._last)
        self.rows[table].append(row)
        self._log(table, None, row)
        return f"insert into {table} values ({', '.join(map(literal, row.values()))})"

    def _delete(self, table: str, row: dict[str, str | None]) -> str:
        self.rows[table].remove(row)
        self._log(table, row, None)
        return f"delete from {table} where rid = {row['rid']}"

    def _update(self, table: str, row: dict[str, str | None]) -> str:
        columns = [column for column in TABLES[table] if column != "rid"]
        chosen = self.chance.sample(columns, self.chance.choice((1, 1, 2)))
        new = row | {column: self._value(TABLES[table][column]) for column in chosen}
        self.rows[table][self.rows[table].index(row)] = new
        self._log(table, row, new)
        sets = ", ".join(f"{column} = {literal(new[column])}" for column in chosen)
        return f"update {table} set {sets} where rid = {row['rid']}"

    def _log(
        self, table: str, old: dict[str, str | None] | None, new: dict[str, str | None] | None
    ) -> None:
        self.changes.setdefault(table, []).append(Change(old=old, new=new))


def literal(value: str | None) -> str:
    """Return a value as SQL."""
    return "null" if value is None else f"'{value}'"


def created() -> Iterator[str]:
    """Yield the statements that make the tables."""
    for table, columns in TABLES.items():
        yield f"drop table if exists {table}"
        kinds = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        yield f"create table {table} ({kinds})"
