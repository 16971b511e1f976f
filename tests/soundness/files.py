"""Random tables, changes and histories of a SQLite file, followed by what triggers tell of it."""

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.log_setup import look
from tests.soundness.grammar import Grammar
from tests.soundness.logged import Follower, mapping
from tests.soundness.shapes import SHAPES, TABLES

#: Values of all storage classes, some of them equal to others, or equal under some collation.
VALUES = ("1", "2", "3", "4", "5", "'1'", "'2'", "2.0", "'2.0'", "'a'", "'b'", "'A'", "x'61'")
#: Mostly numbers, so that rows meet.
PLAIN = ("1", "2", "3", "4", "5")
WORDS = ("'a'", "'b'", "'c'", "'A'")
TYPES = ("integer", "text", "numeric", "", "real", "text collate nocase")
RESOLVED = ("", "", " or replace", " or replace", " or ignore", " or fail", " or rollback")
ROWS = 6
#: Mappings of which nobody knows in which order they see rows.
UNORDERED = ("random", "array_agg", "string_agg", "json_agg")


def usable(connection: sqlite3.Connection, texts: Sequence[str]) -> list[str]:
    """Return those of these mappings that SQLite accepts as well."""
    found = []
    for text in texts:
        with suppress(sqlite3.Error):
            connection.execute(f"explain {text}")
            if not any(word in text for word in UNORDERED):
                found.append(text)
    return found


@dataclass(slots=True)
class File:
    """A file with the five tables, and an app that changes them at random."""

    path: Path
    chance: random.Random
    _last: int = 0
    #: Columns of some unique key, by table.
    unique: dict[str, list[str]] = field(default_factory=dict)

    def connect(self) -> sqlite3.Connection:
        """Connect as the app does, which may have set this and that."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        for name in ("recursive_triggers", "foreign_keys", "trusted_schema"):
            connection.execute(f"pragma {name} = {self.chance.choice(('on', 'off'))}")
        return connection

    def create(self) -> None:
        """Make the tables, each in a way of its own, with rows."""
        with closing(self.connect()) as app:
            app.execute(f"pragma journal_mode = {self.chance.choice(('wal', 'delete'))}")
            for table in TABLES:
                app.execute(self._table(table))
            if self.chance.random() < 0.3:
                app.execute(
                    "create trigger own after insert on posts begin update users set name = 'own'"
                    " where id = new.author; insert or ignore into plans (rid, id)"
                    " values (new.rid, new.size); end"
                )
            for table in TABLES:
                for _ in range(self.chance.randint(1, ROWS)):
                    with suppress(sqlite3.Error):
                        app.execute(self._insert(table))

    def _table(self, table: str) -> str:
        strange = self.chance.random() < 0.4
        parts, self.unique[table] = [], []
        for name, kind in TABLES[table].items():
            declared = kind if self.chance.random() < 0.8 else self.chance.choice(TYPES)
            if name == "rid":
                own = ("int", "integer primary key", "int primary key", "integer primary key")
                declared = self.chance.choice(own)
                resolved = self.chance.choice(("", "", " on conflict replace"))
                declared += resolved * ("key" in declared)
                self.unique[table] += ["rid"] * ("key" in declared)
            parts.append(f"{name} {declared}")
        rows = " without rowid" if "int primary key" in parts[0] and strange else ""
        conflict = self.chance.choice(("", "", " on conflict replace", " on conflict ignore"))
        for _ in range(self.chance.choice((0, 0, 1, 2))):
            columns = self.chance.sample(list(TABLES[table])[1:], self.chance.choice((1, 1, 2)))
            parts.append(f"unique ({', '.join(columns)}){conflict}")
            self.unique[table] += columns
        if table == "posts" and "rid" in self.unique["users"]:
            act = self.chance.choice(("cascade", "set null"))
            parts.append(
                f"foreign key (author) references users (rid) on delete {act} on update cascade"
            )
        return f"create table {table} ({', '.join(parts)}){rows}"

    def _value(self, table: str, column: str) -> str:
        act = self.chance.random()
        if act < 0.12:
            return "null"
        if act < 0.25:
            return self.chance.choice(VALUES)
        return self.chance.choice(WORDS if "text" in TABLES[table][column] else PLAIN)

    def _insert(self, table: str) -> str:
        self._last += 1
        columns = list(TABLES[table])
        rid = str(self._last) if self.chance.random() < 0.7 else self._value(table, "rid")
        values = [rid, *(self._value(table, each) for each in columns[1:])]
        return f"insert into {table} ({', '.join(columns)}) values ({', '.join(values)})"

    def statement(self) -> str:
        """Return something that an app may do."""
        table = self.chance.choice(list(TABLES))
        columns = list(TABLES[table])
        act = self.chance.random()
        if act < 0.35:
            resolved = self.chance.choice(RESOLVED)
            insert = self._insert(table).replace("insert", f"insert{resolved}", 1)
            keys = self.unique[table]
            if not resolved and keys and self.chance.random() < 0.4:
                column = self.chance.choice(columns)
                insert += f" on conflict do update set {column} = {self._value(table, column)}"
            return insert
        column, value = self._of(table, columns)
        where = "" if self.chance.random() < 0.06 else f" where {column} = {value}"
        if act < 0.5:
            return f"delete from {table}{where}"
        chosen = self.chance.sample(columns, self.chance.choice((1, 1, 2)))
        sets = ", ".join(f"{each} = {self._value(table, each)}" for each in chosen)
        resolved = self.chance.choice(RESOLVED)
        return f"update{resolved} {table} set {sets}{where}"

    def _of(self, table: str, columns: Sequence[str]) -> tuple[str, str]:
        column = self.chance.choice(columns)
        return column, self._value(table, column)

    def change(self) -> list[str]:
        """Change some rows, in a transaction or not; return the statements."""
        ran = []
        with closing(self.connect()) as app:
            within = self.chance.random() < 0.5
            statements = [self.statement() for _ in range(self.chance.choice((1, 1, 2, 3, 6)))]
            end = self.chance.choice(("commit", "commit", "commit", "rollback"))
            for each in chain(["begin"] * within, statements, [end] * within):
                # What goes against a constraint is the app's own affair.
                with suppress(sqlite3.IntegrityError, sqlite3.OperationalError):
                    app.execute(each)
                    ran.append(each)
        return ran


@dataclass(slots=True)
class Histories:
    """Readers that come now and then, of a file that is set back now and then."""

    folder: Path
    seed: int
    #: How often a reader was told what, and why everything was read otherwise.
    seen: Counter[str] = field(default_factory=Counter)

    def run(self, rounds: int) -> None:
        """Change the file and look at it. Raises Missed."""
        chance = random.Random(self.seed)
        file = File(self.folder / f"{self.seed}.db", chance)
        file.create()
        mappings = self._mappings(file, chance)
        database = AppDatabase(f"sqlite:///{file.path}")
        setup = look(database, mappings)
        list(setup.applied(database.url, setup.steps))
        readers = [Follower(database, mappings) for _ in range(3)]
        copies: list[Path] = []
        done: list[str] = []
        for number in range(rounds):
            done += file.change()
            if chance.random() < 0.1:
                copies.append(self._copied(file, number))
            if copies and chance.random() < 0.1:
                self._restore(file, chance.choice(copies))
                done.append("restored")
                # Mostly it is written on before anybody looks.
                if chance.random() < 0.7:
                    done += [line for _ in range(chance.randint(1, 9)) for line in file.change()]
            for reader in self._coming(readers, chance):
                try:
                    found = reader.look()
                except AssertionError as error:
                    error.add_note("\n".join((f"seed {self.seed}", *done[-40:])))
                    raise
                self.seen.update(e if isinstance(e, str) else "told" for e in found.values())

    def _mappings(self, file: File, chance: random.Random) -> list[Mapping]:
        grammar = Grammar(self.seed)
        texts = [*chance.sample(SHAPES, 8), *(grammar.mapping() for _ in range(8))]
        with closing(file.connect()) as app:
            found = usable(app, texts)
        return [mapping(text, name=f"contacts/{n}") for n, text in enumerate(found)]

    def _coming(self, readers: Sequence[Follower], chance: random.Random) -> Iterator[Follower]:
        """Yield who looks now: one nearly always, the others seldom."""
        for reader, likely in zip(readers, (0.8, 0.3, 0.1), strict=True):
            if chance.random() < likely:
                yield reader

    def _copied(self, file: File, number: int) -> Path:
        copy = self.folder / f"{self.seed}.{number}.copy"
        with closing(file.connect()) as app:
            app.execute("pragma wal_checkpoint(truncate)")
            # SQLite's own backup would count as a change of the schema.
            shutil.copy(file.path, copy)
        return copy

    def _restore(self, file: File, copy: Path) -> None:
        for behind in ("-wal", "-shm", "-journal"):
            Path(f"{file.path}{behind}").unlink(missing_ok=True)
        shutil.copy(copy, file.path)
