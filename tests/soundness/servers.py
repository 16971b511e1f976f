"""Random changes on MariaDB, followed by what triggers tell of them: nobody may be missed."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pymysql
from sqlalchemy import URL

from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.log_setup import look
from tests.soundness.changing import Data, created
from tests.soundness.grammar import Grammar
from tests.soundness.logged import UNMARKED, Follower, mapping
from tests.soundness.shapes import SHAPES, TABLES

#: Mappings of which nobody knows in which order they see rows.
UNORDERED = ("random", "array_agg", "string_agg", "json_agg", "group_concat", "row_to_json")
#: Beside those that change one row by its number: at random, to rows that meet.
WRITES = (
    "replace into users (rid, id, team, name) values ({1}, {2}, {3}, 'r')",
    (
        "insert into posts (rid, id, author, size) values ({0}, {1}, {2}, {3}) "
        "on duplicate key update author = {3}, size = size + 1"
    ),
    "update users u join posts p on p.author = u.id set u.team = {1}, p.size = {2}",
    "delete u, p from users u join posts p on p.author = u.id where u.id = {1} and p.size = {2}",
    "update ignore users set id = {1} where id = {2}",
    "insert into teams (rid, id, owner) select {0} + rid, id, {1} from users where id = {2}",
    "delete from posts where author = {1} limit 1",
    "update posts set author = null where size > {1}",
)
#: Passes until new tables count.
MOST = 60


def usable(connection: pymysql.Connection, texts: Sequence[str]) -> list[str]:
    """Return those of these mappings that MariaDB accepts as well."""
    found = []
    for text in texts:
        with suppress(pymysql.MySQLError), connection.cursor() as cursor:
            cursor.execute(f"explain {text}")
            if not any(word in text for word in UNORDERED):
                found.append(text)
    return found


@dataclass(slots=True)
class Histories:
    """An app with five tables, writers whose transactions overlap, and who reads them."""

    url: URL
    owner: pymysql.Connection
    seed: int
    #: What was told, and why it was not, over all mappings and passes.
    seen: Counter[str] = field(default_factory=Counter)
    _last: int = 10_000

    def mappings(self, number: int) -> list[Mapping]:
        """Return so many mappings, of our own and at random."""
        grammar = Grammar(self.seed)
        texts = usable(self.owner, [*SHAPES, *(grammar.mapping() for _ in range(number))])
        return [mapping(text, name=f"contacts/{n}") for n, text in enumerate(texts)]

    def create(self) -> None:
        """Make the tables."""
        for statement in created():
            self._run(self.owner, statement)
        for table in TABLES:
            self._run(self.owner, f"alter table {table} add primary key (rid)")

    def follow(self, mappings: Sequence[Mapping]) -> Follower:
        """Set up the log, and return who reads it."""
        database = AppDatabase(self.url)
        setup = look(database, mappings)
        list(setup.applied(database.url, setup.steps))
        follower = Follower(database, mappings)
        for _ in range(MOST):
            if UNMARKED not in follower.look().values():
                break
            self._run(self.owner, "select sleep(0.2)")
        return follower

    def run(self, follower: Follower, writers: Sequence[pymysql.Connection], passes: int) -> None:
        """Let writers write, some of them with transactions that stay open. Raises Missed."""
        chance = random.Random(self.seed)
        data = Data(chance)
        for statement in data.first_rows():
            self._run(self.owner, f"replace{statement.removeprefix('insert')}")
        for _ in range(passes):
            for statement in self._statements(data, chance):
                writer = chance.choice(writers)
                # A row that another writer has, or a key that is there: as an app meets them.
                with suppress(pymysql.MySQLError):
                    self._run(writer, statement)
                if chance.random() < 0.5:
                    self._run(writer, chance.choice(("commit", "commit", "commit", "rollback")))
            found = follower.look(acknowledge=chance.random() < 0.8)
            self.seen.update(each if isinstance(each, str) else "told" for each in found.values())
        for writer in writers:
            self._run(writer, "commit")
        follower.look()

    def _statements(self, data: Data, chance: random.Random) -> Iterator[str]:
        yield from data.batch()
        for _ in range(chance.choice((0, 1, 1, 2, 4))):
            self._last += 100
            values = [chance.randint(1, 6) for _ in range(3)]
            yield chance.choice(WRITES).format(self._last, *values)

    def _run(self, connection: pymysql.Connection, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)
