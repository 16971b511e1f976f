"""MySQL and MariaDB: reading the log of changed rows that triggers write.

The log is read in the snapshot, which sees of it what it sees of the tables. Numbers of rows are
given before their transactions end, so just those are deleted afterwards that it saw.

A place in the log is a chance number: what the log will say once what the snapshot saw is deleted,
or what it says, where there is nothing to delete. As long as the log says that, nothing was deleted
that whoever stood there has not seen, and nothing is gone that it did see.
"""

import json
import secrets
from array import array
from collections.abc import Iterator, Mapping as Dict, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import URL

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.changelog import OVERFLOWED, TOO_MANY, Columns, Kept, Standing, Told
from meisa_cdc.source.dialects import MYSQL
from meisa_cdc.source.mysql_standing import SET_UP_ANEW, Found
from meisa_cdc.source.mysql_transaction import MySqlTransaction, code_of, connect, said
from meisa_cdc.source.mysql_triggers import FIRST, FIRST_KIND
from meisa_cdc.source.trigger_names import VERSION, Names
from meisa_cdc.source.trigger_rows import Gathered

CONTROL = """
select version, epoch, room, acknowledged, floor, noted, waits,
    (select kind from {changes} where id = {first}) from {log}
"""
IDS = "select id from {changes} where id <> {first}"
CHANGES = """
select relation, kind, old_row, new_row from {changes} where id <> {first} order by id
"""
#: The next number that will be given, of no snapshot.
NEXT = """
select coalesce(auto_increment, 1) from information_schema.tables
where table_schema = {schema_text} and table_name = {changes_text}
"""
BATCH = 500
#: Rows deleted in one transaction.
DELETED = 1_000
ACKNOWLEDGING = (
    "set session transaction isolation level read committed",
    "set session innodb_lock_wait_timeout = 2, lock_wait_timeout = 2",
)
# By number, one row after the other: a scan would wait for rows of open transactions.
DELETE = """
delete c from json_table({ids}, '$[*]' columns (id bigint unsigned path '$')) as seen
straight_join {changes} as c force index (primary) on c.id = seen.id
"""
ADVANCE = """
update {log} set acknowledged = {token}, floor = {floor}
where epoch = {epoch} and acknowledged = {base}
"""
# Whoever died before it was noted left it behind.
RAISE = "insert ignore into {room} (ceiling) values ({ceiling})"
#: Where binlog_format is not ROW, writers hold a lock on the last ceiling until they end, one after
#: the other: not one of the waits is long, all together are.
BOUNDED = "set statement max_statement_time = 2 for "
#: What says that a lock was not to be had.
HELD = frozenset({1205, 1213, 1969})
#: Seconds after which a server that says nothing is given up.
PATIENCE = 10.0
NOTICE = """
update {log} set noted = {ceiling}, waits = {waits}
where epoch = {epoch} and acknowledged = {token}
"""
#: How often a list of transactions is asked for until it is a new one, after how many seconds.
TRIES, PAUSE = 20, 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Where the log stands."""

    epoch: str
    #: Rows it has room for.
    room: int
    #: The chance number of the last acknowledgement.
    acknowledged: int
    #: The lowest ceiling that any transaction may go by.
    floor: int
    #: The last one that was noted, and the transactions that ran then and may go by others.
    noted: int
    waits: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a snapshot was told, to be acknowledged once its consequences are stored."""

    url: URL
    names: Names
    control: Control
    #: Place of the snapshot; what the log says already where there is nothing to acknowledge.
    token: int
    floor: int
    #: The next number that is given.
    following: int
    #: Whether half of the room is used up, so that there should be more.
    full: bool
    ids: Sequence[int]

    def acknowledge(self, upto: int) -> None:
        """Delete what the snapshot saw. Raises SourceUnavailable."""
        if upto != self.token or self.token == self.control.acknowledged:
            return
        import pymysql

        try:
            with closing(connect(self.url, patience=PATIENCE)) as connection:
                self._acknowledge(connection)
        except (pymysql.MySQLError, OSError) as error:
            raise SourceUnavailable(
                f"The log could not be cut off: {said(error)}.",
                hint="It is read again from where it was.",
            ) from None

    def _acknowledge(self, connection: Any) -> None:
        cursor = connection.cursor()
        for statement in ACKNOWLEDGING:
            cursor.execute(statement)
        words = {
            "epoch": connection.escape(self.control.epoch),
            "base": self.control.acknowledged,
            "token": self.token,
            "floor": self.floor,
        }
        # Somebody else acknowledged, or set it up anew: then what was seen is not ours to delete.
        if cursor.execute(filled(ADVANCE, self.names, **words)) != 1:
            return
        for start in range(0, len(self.ids), DELETED):
            some = connection.escape(json.dumps(list(self.ids[start : start + DELETED])))
            cursor.execute(filled(DELETE, self.names, ids=some))
        if self.full:
            self._raise(connection, cursor, words)

    def _raise(self, connection: Any, cursor: Any, words: Dict[str, object]) -> None:
        """Make more room, and note who may still go by an older ceiling; or leave it for now."""
        import pymysql

        ceiling = max(self.following, self.control.noted) + self.control.room
        bound = BOUNDED if "mariadb" in connection.get_server_info().lower() else ""
        try:
            cursor.execute(bound + filled(RAISE, self.names, ceiling=ceiling).strip())
        except pymysql.MySQLError as error:
            if code_of(error) in HELD:
                return
            raise
        waits = self._running(cursor, connection.thread_id())
        if waits is not None:
            listed = connection.escape(json.dumps(sorted(waits)))
            cursor.execute(filled(NOTICE, self.names, **words, ceiling=ceiling, waits=listed))

    def _running(self, cursor: Any, own: int) -> set[str] | None:
        """Return the transactions that run; None: not known.

        The server shows a list that it made for somebody else, so it has to have our own.
        """
        cursor.execute("start transaction with consistent snapshot, read only")
        try:
            for _ in range(TRIES):
                cursor.execute(f"select sleep({PAUSE})")
                running = Found.asked(cursor, self.names).running
                ours = {each for each in running if each.partition(" ")[0] == str(own)}
                if ours:
                    return set(running) - ours
        finally:
            cursor.execute("commit")
        return None


@dataclass(slots=True, kw_only=True)
class MysqlTriggerLog:
    """`ChangeLog` by triggers, beside a snapshot of MySQL or MariaDB."""

    transaction: MySqlTransaction
    url: URL
    names: Names
    #: What was found before the snapshot was taken, or why nothing was.
    found: Found | FullScan
    seen: Seen | None = None
    _standing: Standing | FullScan | None = None
    _control: Control | None = None
    _told: Told | FullScan | None = None
    _tables: dict[str, str] = field(default_factory=dict)

    def standing(self) -> Standing | FullScan:
        """Return what the triggers tell of, or why the log cannot be used."""
        if self._standing is None:
            self._standing = self._asking(self._stands)
        return self._standing

    def _asking(self, ask: Any) -> Any:
        try:
            return ask()
        except self.transaction.errors as error:
            lost = self.transaction.lost(error)
            if lost is not None:
                raise lost from None
            reason = f"the log of changed rows cannot be read: {said(error)}"
            return FullScan(reason=reason, advice=SET_UP_ANEW)

    def _stands(self) -> Standing | FullScan:
        if isinstance(self.found, FullScan):
            return self.found
        unfit = self.found.unfit()
        if unfit is not None:
            return unfit
        control = self._read()
        if isinstance(control, FullScan):
            return control
        self._control = control
        kept = {}
        for table, columns, shape in self.found.told():
            full = MYSQL.quoted(table)
            self._tables[table] = full
            numbers = frozenset(name for name, number in columns.items() if number)
            kept[full] = Kept(before=numbers, told=frozenset(columns), shape=shape)
        base = control.acknowledged
        return Standing(
            identity=f"triggers {self.names.name} {control.epoch} {self.found.identity}",
            start=0,
            tables=kept,
            passed=lambda place: place == base,
        )

    def _read(self) -> Control | FullScan:
        rows = self.transaction.execute(filled(CONTROL, self.names))
        if not rows or (rows[0][0], rows[0][-1]) != (VERSION, FIRST_KIND):
            reason = f"the log {self.names.name} is not as this version sets it up"
            return FullScan(reason=reason, advice=SET_UP_ANEW)
        ((_, epoch, room, acknowledged, floor, noted, waits, _),) = rows
        return Control(
            epoch=epoch,
            room=room,
            acknowledged=acknowledged,
            floor=floor,
            noted=noted,
            waits=frozenset(json.loads(waits)),
        )

    def told(self, wanted: Columns, since: int | None) -> Told | FullScan:
        """Return what changed, as the snapshot sees it: the same for everybody."""
        del since
        if self._told is None:
            standing = self.standing()
            told = standing if isinstance(standing, FullScan) else None
            self._told = told or self._asking(lambda: self._tell(wanted))
        return self._told

    def _tell(self, wanted: Columns) -> Told:
        control, found = self._control, self.found
        if control is None or isinstance(found, FullScan):
            raise TypeError(self.names.name)
        # After the snapshot was taken: whoever it sees had a number by now.
        ((following,),) = self.transaction.execute(filled(NEXT, self.names))
        # Whoever was above a ceiling that some might go by may have written nothing.
        doubt = int(following) - 1 > control.floor
        ended = not control.waits & set(found.running)
        ids = array("Q", (row[0] for row in self._rows(IDS)))
        gathered = Gathered(tables=self._tables, wanted=wanted)
        whole = not doubt and gathered.take(self._rows(CHANGES))
        floor = control.noted if ended else control.floor
        full = floor == control.noted and int(following) + control.room // 2 > control.noted
        # Whatever the snapshot saw that is new, and be it beside a full log, makes a new place.
        moves = bool(ids) or doubt or full or floor != control.floor
        self.seen = Seen(
            url=self.url,
            names=self.names,
            control=control,
            token=secrets.randbelow(2**62) + 1 if moves else control.acknowledged,
            floor=floor,
            following=int(following),
            full=full,
            ids=ids,
        )
        return Told(
            changes=gathered.changes if whole else {},
            upto=self.seen.token,
            unsure=frozenset(gathered.unsure),
            scan=OVERFLOWED if doubt else None if whole else TOO_MANY,
        )

    def _rows(self, text: str) -> Iterator[Sequence[Any]]:
        return self.transaction.streamed(filled(text, self.names), BATCH)


def filled(text: str, names: Names, **words: object) -> str:
    """Return a text with the names of the log's parts in it."""
    schema = MYSQL.quoted(names.schema)
    parts = names.parts()
    full = {word: f"{schema}.{MYSQL.quoted(each)}" for word, each in parts.items()}
    texts = {f"{word}_text": f"'{each}'" for word, each in parts.items()}
    quoted = names.schema.replace("'", "''")
    own = {"schema_text": f"'{quoted}'", "first": FIRST}
    return text.format_map({**full, **texts, **own, **words})


#: There is no such procedure, or nothing that our role may run.
NO_LOG = frozenset({1305, 1370, 1044, 1142, 1046, 1049, 1102})


def log_before(transaction: MySqlTransaction, url: URL, name: str) -> MysqlTriggerLog | None:
    """Return the log, asked before a snapshot is taken; None: nobody set one up."""
    names = Names(name=name, schema=str(url.database or ""))
    cursor = transaction.connection.cursor()
    found: Found | FullScan
    try:
        with transaction.limit():
            found = Found.asked(cursor, names)
    except transaction.errors as error:
        if code_of(error) in NO_LOG:
            return None
        if transaction.lost(error) is not None:
            raise
        reason = f"the log of changed rows cannot be looked at: {said(error)}"
        found = FullScan(reason=reason, advice=SET_UP_ANEW)
    return MysqlTriggerLog(transaction=transaction, url=url, names=names, found=found)
