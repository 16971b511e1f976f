"""MySQL and MariaDB: setting up a log by triggers, looking at it, and removing it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import URL

from meisa_cdc.core.captures import LOG
from meisa_cdc.core.errors import SourceRefused, SourceUnavailable
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.dialects import MYSQL
from meisa_cdc.source.mysql_catalogue import OTHER, MysqlCatalogue
from meisa_cdc.source.mysql_rights import Account, account_of, maker_problems, server_problems
from meisa_cdc.source.mysql_standing import Found
from meisa_cdc.source.mysql_transaction import code_of, connect, said
from meisa_cdc.source.mysql_trigger_log import NO_LOG
from meisa_cdc.source.mysql_triggers import MARK, NUMBER, SETTINGS, creation, removal
from meisa_cdc.source.needs import Need, needs_of, told_of
from meisa_cdc.source.slot_plan import Problem, Step
from meisa_cdc.source.trigger_names import LIMIT, Names
from meisa_cdc.source.trigger_setup import named

TRIGGERS = "triggers"
#: What the statements are for, by the words that they begin with.
REASONS = {
    "set ": "No statement waits long for a lock, and all is written in one spelling.",
    "create table": "The log's own tables: what changed, how much may be kept, where it stands.",
    "drop trigger": "Made anew for these columns, or for a table that nobody reads any more.",
    "drop procedure": "Made anew.",
    "create procedure": "Writes changes to the log; the other tells the reader what is there.",
    "create trigger": "Runs with each change of the table.",
    "grant": "The reader reads the log and empties it.",
    "insert": "Rows of the log's own; with the last, everything is read once.",
    "drop table": "What the log was kept in.",
}
#: The definer of triggers is not there.
NO_OWNER = 1449
CASCADES = re.compile(r"ON (DELETE|UPDATE) (CASCADE|SET)", re.IGNORECASE)
OURS = """
select trigger_name from information_schema.triggers
where trigger_schema = database() and trigger_name regexp '^{}_[0-9a-f]{{10}}_[iud]$'
"""
OUR_TABLES = """
select table_name from information_schema.tables
where table_schema = database() and table_name in ('{}', '{}', '{}')
"""
LOCKED = 1205


@dataclass(frozen=True, slots=True, kw_only=True)
class MysqlLogSetup:
    """What there is in a database, and what the mappings need."""

    database: AppDatabase
    names: Names
    account: Account
    needs: tuple[Need, ...]
    #: Table -> column -> NUMBER or MARK, as mappings need them told.
    telling: dict[str, dict[str, str]]
    #: What is there; None: nothing, or it cannot be looked at.
    found: Found | None
    #: Tables of ours are there.
    kept: bool
    #: What is wrong with what is there.
    troubles: tuple[Problem, ...]
    #: All mappings that it helps are found by it already.
    whole: bool
    by: str = TRIGGERS
    preface: str = ""

    @property
    def left(self) -> list[Step]:
        """Nothing: all that is made is ours."""
        return []

    @property
    def steps(self) -> list[Step]:
        """What is left to do."""
        there = self._there()
        if not self.telling or (self.whole and there == self.telling):
            return []
        triggers = () if self.found is None else self.found.triggers
        reader = self.account.quoted
        made = creation(
            self.names,
            self.telling,
            LIMIT,
            maria=self.account.maria,
            reader=reader,
            triggers=triggers,
        )
        return [_step(each) for each in made]

    def _there(self) -> dict[str, dict[str, str]]:
        if self.found is None:
            return {}
        tables = {text.table for text in self.found.texts.values() if text.table}
        told = {table: self.found.told_of(table) for table in tables}
        return {table: columns or {} for table, columns in told.items()}

    @property
    def removing(self) -> list[Step]:
        """What removes whatever there is of ours."""
        if self.found is None and not self.troubles and not self.kept:
            return []
        triggers = () if self.found is None else self.found.triggers
        return [_step(each) for each in removal(self.names, triggers)]

    def problems(self, *, unlimited: bool) -> list[Problem]:  # noqa: ARG002 - of a slot alone
        """Return what stands in the way whoever runs the statements."""
        found = list(server_problems(self.account))
        if not self.telling:
            what = "there is no mapping whose changes a log would tell"
            found.append(Problem(what=what, advice="See why, mapping by mapping."))
        return found

    def lacking_rights(self, setup: URL) -> list[Problem]:
        """Return what keeps the account of `setup` from running them."""
        try:
            with closing(_connected(setup)) as connection:
                maker = account_of(_asking(connection))
        except self._errors() as error:
            raise _unasked(error) from None
        if maker.place != self.account.place:
            what = "MEISA_CDC_SETUP_URL leads to another database than app_database.url"
            return [Problem(what=what, advice="Correct one of them.")]
        return list(maker_problems(maker, self.account)) if self.steps else []

    def applied(self, setup: URL, steps: Sequence[Step]) -> Iterator[Step]:
        """Run the statements, each of which commits by itself, and yield them as they are done."""
        if not steps:
            return
        with closing(_connected(setup)) as connection:
            for statement in SETTINGS:
                connection.cursor().execute(statement)
            for step in [*self._leftovers(connection, steps), *steps]:
                if step.sql.startswith("set "):
                    continue
                try:
                    connection.cursor().execute(step.sql.removesuffix(";"))
                except self._errors() as error:
                    raise _refusal(step, error) from None
                yield step

    def _leftovers(self, connection: Any, steps: Sequence[Step]) -> Iterator[Step]:
        """Yield what drops triggers of ours that the reader does not see."""
        text = " ".join(step.sql for step in steps)
        cursor = connection.cursor()
        cursor.execute(OURS.format(self.names.name))
        for (name,) in cursor.fetchall():
            if f"`{name}`" not in text:
                where = MYSQL.quoted(self.names.schema)
                yield _step(f"drop trigger if exists {where}.{MYSQL.quoted(name)}")

    @staticmethod
    def _errors() -> tuple[type[Exception], ...]:
        import pymysql

        return (pymysql.MySQLError, OSError)

    def document(self) -> dict[str, Any]:
        """Return the tables that triggers are on."""
        tables = sorted(MYSQL.quoted(table) for table in self._there())
        return {
            "slot": None,
            "publication": None,
            "triggers": {"tables": tables} if self.found or self.kept else None,
            "problems": list(self.troubles),
        }


def look(
    database: AppDatabase, mappings: Iterable[Mapping], by: str | None = None
) -> MysqlLogSetup:
    """Ask what there is. Raises SourceUnavailable, and SourceRefused for a slot."""
    if by not in (None, TRIGGERS):
        raise SourceRefused(
            f"{database.dialect.title} keeps no log of its own that we can read.",
            hint="Leave out --by.",
        )
    if not database.url.database:
        raise SourceRefused("app_database.url names no database.", hint="Add one behind the port.")
    given = list(mappings)
    names = named(database.log, schema=str(database.url.database))
    with database.snapshot() as snapshot:
        needs = list(needs_of(snapshot, given))
        helped = {need.mapping for need in needs if need.scan is None}
        logged = {m.name for m in given if m.name in helped and snapshot.capture(m).kind == LOG}
    try:
        with closing(connect(database.url)) as connection:
            ask = _asking(connection)
            needs = [_followable(need, ask) for need in needs]
            telling = _telling(needs, ask)
            account = account_of(ask)
            found, troubles = _found(connection, names)
            kept = bool(ask(OUR_TABLES.format(names.changes, names.log, names.room)))
    except MysqlLogSetup._errors() as error:  # noqa: SLF001 - of this module
        raise _unasked(error) from None
    return MysqlLogSetup(
        database=database,
        names=names,
        account=account,
        needs=tuple(needs),
        telling=telling,
        found=found,
        kept=kept,
        troubles=troubles,
        whole={need.mapping for need in needs if need.scan is None} <= logged,
    )


def _found(connection: Any, names: Names) -> tuple[Found | None, tuple[Problem, ...]]:
    try:
        return Found.asked(connection.cursor(), names), ()
    except MysqlLogSetup._errors() as error:  # noqa: SLF001 - of this module
        code = code_of(error)
        if code in NO_LOG:
            return None, ()
        what, advice = f"the log cannot be looked at: {said(error)}", "Run `capture drop`."
        if code == NO_OWNER:
            what = f"the triggers' account is gone, and the app's writes fail: {said(error)}"
            advice = "Make it again, or run `meisa-cdc capture drop` now."
        return None, (Problem(what=what, advice=advice),)


def _followable(need: Need, ask: Any) -> Need:
    """Return the need, with the reason where triggers cannot tell of one of its tables."""
    for table in need.tables:
        ((_, text),) = ask(f"show create table {table}")
        if CASCADES.search(text):
            reason = f"a foreign key changes rows of {table} past triggers (ON DELETE or ON UPDATE)"
            scan = FullScan(reason=reason, advice="Use another capture.")
            return replace(need, tables={}, told={}, scan=scan)
    return need


def _telling(needs: Iterable[Need], ask: Any) -> dict[str, dict[str, str]]:
    told = told_of(need for need in needs if need.scan is None)
    plain = {table: table[1:-1] for table in told}
    shapes = MysqlCatalogue(ask).catalogue(list(plain.values()), ()).tables
    return {
        name: {
            column: MARK if shapes[name].columns[column] == OTHER else NUMBER
            for column in sorted(told[table])
        }
        for table, name in sorted(plain.items())
    }


def _asking(connection: Any) -> Any:
    def ask(text: str) -> Sequence[tuple[Any, ...]]:
        cursor = connection.cursor()
        cursor.execute(text)
        found: Sequence[tuple[Any, ...]] = cursor.fetchall()
        return found

    return ask


def _connected(url: URL) -> Any:
    try:
        return connect(url)
    except SourceUnavailable as error:
        hint = "Check MEISA_CDC_SETUP_URL, or app_database.url where it is not set."
        raise SourceUnavailable(error.message, hint=hint) from None


def _step(sql: str) -> Step:
    why = next((why for words, why in REASONS.items() if sql.lower().startswith(words)), "")
    shown = f"delimiter //\n{sql}//\ndelimiter ;" if sql.endswith("end") else ""
    return Step(sql=f"{sql};", why=why, shown=shown)


def _unasked(error: Exception) -> SourceUnavailable:
    return SourceUnavailable(f"The server could not be asked: {said(error)}.")


def _refusal(step: Step, error: Exception) -> SourceRefused:
    first = step.sql.partition("\n")[0].removesuffix(";")
    hint = "Run it again; it begins anew."
    what = said(error)
    if code_of(error) == LOCKED:
        what = "a lock was not to be had within 3 s, and the app would have waited, too"
        hint = "Run it again when no long transaction holds the table."
    return SourceRefused(f"`{first}` failed: {what}.", hint=hint)
